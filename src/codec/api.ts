/** DRAFT shared contract between the codec and the CLI. Shapes of options and results; the functions are in encoder.ts and decoder.ts. */
