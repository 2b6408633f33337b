/**
 * A bitmap font for labels: glyphs of 5 x 9 pixels (7 above the baseline, 2 below) for printable ASCII, lower and upper
 * case, without the rarest characters, and a lambda. System fonts would draw nothing on a machine without fonts, and
 * something different on every other machine.
 */

export const GLYPH_WIDTH = 5;
export const GLYPH_HEIGHT = 9;

/** Pixels from the start of one character to the start of the next. */
const ADVANCE = GLYPH_WIDTH + 1;

/** Each strip: a line of characters, then 9 rows with 5 columns and a gap for each of them, '#' for ink. */
const STRIPS = [
  `
01234567
 ###    #    ###  #####    #  #####  ###  #####
#   #  ##   #   #    #    ##  #     #         #
#  ##   #       #   #    # #  ####  #        #
# # #   #      #     #  #  #      # ####     #
##  #   #     #       # #####     # #   #   #
#   #   #    #    #   #    #  #   # #   #   #
 ###   ###  #####  ###     #   ###   ###    #


`,
  `
89./:=-+
 ###   ###
#   # #   #           #                     #
#   # #   #          #    #   #####         #
 ###   ####         #               ##### #####
#   #     #        #          #####         #
#   #    #   ##   #       #                 #
 ###   ##    ##


`,
  `
abcdefgh
      #               #         ##        #
      #               #        #  #       #
 ###  # ##   ###   ## #  ###   #     #### # ##
    # ##  # #     #  ## #   # ####  #   # ##  #
 #### #   # #     #   # #####  #    #   # #   #
#   # #   # #   # #   # #      #    #   # #   #
 #### ####   ###   ####  ###   #     #### #   #
                                        #
                                     ###
`,
  `
ijklmnop
  #      #  #      ##
            #       #
 ##     ##  #  #    #   ## #  # ##   ###  ####
  #      #  # #     #   # # # ##  # #   # #   #
  #      #  ##      #   # # # #   # #   # #   #
  #      #  # #     #   # # # #   # #   # #   #
 ###     #  #  #   ###  # # # #   #  ###  ####
      #  #                                #
       ##                                 #
`,
  `
qrstuvwx
                   #
                   #
 #### # ##   ###  ###   #   # #   # #   # #   #
#   # ##  # #      #    #   # #   # #   #  # #
#   # #      ###   #    #   # #   # # # #   #
#   # #         #  #  # #  ##  # #  # # #  # #
 #### #     ####    ##   ## #   #    # #  #   #
    #
    #
`,
  `
yz%,()_#
            ##             #   #
            ##  #         #     #         # #
#   # #####    #         #       #       #####
#   #    #    #          #       #        # #
#   #   #    #           #       #       #####
#   #  #    #  ##   ##    #     #         # #
 #### #####    ##    #     #   #
    #               #              #####
 ###
`,
  `
ABCDEFGH
 ###  ####   ###  ####  ##### #####  ###  #   #
#   # #   # #   # #   # #     #     #   # #   #
#   # #   # #     #   # #     #     #     #   #
##### ####  #     #   # ####  ####  # ### #####
#   # #   # #     #   # #     #     #   # #   #
#   # #   # #   # #   # #     #     #   # #   #
#   # ####   ###  ####  ##### #      #### #   #


`,
  `
IJKLMNOP
 ###    ### #   # #     #   # #   #  ###  ####
  #      #  #  #  #     ## ## ##  # #   # #   #
  #      #  # #   #     # # # ##  # #   # #   #
  #      #  ##    #     # # # # # # #   # ####
  #      #  # #   #     #   # #  ## #   # #
  #   #  #  #  #  #     #   # #  ## #   # #
 ###   ##   #   # ##### #   # #   #  ###  #


`,
  `
QRSTUVWX
 ###  ####   #### ##### #   # #   # #   # #   #
#   # #   # #       #   #   # #   # #   # #   #
#   # #   # #       #   #   # #   # #   #  # #
#   # ####   ###    #   #   # #   # # # #   #
# # # # #       #   #   #   # #   # # # #  # #
#  #  #  #      #   #   #   #  # #  # # # #   #
 ## # #   # ####    #    ###    #    # #  #   #


`,
  `
YZ?λ
#   # #####  ###  ##
#   #     # #   #   #
 # #     #      #   #
  #     #      #   ##
  #    #      #    # #
  #   #           #  #
  #   #####   #   #   #


`,
];

const GLYPHS = readStrips();

/** Width in pixels of a line of text at this scale (an integer factor). */
export function textWidth(text: string, scale: number): number {
  return text.length === 0 ? 0 : (text.length * ADVANCE - 1) * scale;
}

/**
 * Calls `ink` for every pixel of a line of text whose top left corner is (0, 0). Characters that the font lacks are
 * drawn as '?'.
 */
export function drawText(text: string, scale: number, ink: (x: number, y: number) => void): void {
  [...text].forEach((character, position) => {
    if (character === ' ') return;
    const rows = GLYPHS.get(character) ?? GLYPHS.get('?')!;
    for (let y = 0; y < GLYPH_HEIGHT * scale; y++) {
      for (let x = 0; x < GLYPH_WIDTH * scale; x++) {
        if (rows[Math.floor(y / scale)][Math.floor(x / scale)] === '#') ink(position * ADVANCE * scale + x, y);
      }
    }
  });
}

function readStrips(): Map<string, readonly string[]> {
  const glyphs = new Map<string, readonly string[]>();
  for (const strip of STRIPS) {
    const [characters, ...rows] = strip.slice(1).split('\n');
    [...characters].forEach((character, position) => {
      const left = position * ADVANCE;
      const glyph = rows.slice(0, GLYPH_HEIGHT).map((row) => row.slice(left, left + GLYPH_WIDTH).padEnd(GLYPH_WIDTH));
      glyphs.set(character, glyph);
    });
  }
  return glyphs;
}
