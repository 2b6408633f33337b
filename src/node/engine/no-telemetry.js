/**
 * Imported before onnxruntime-node, wherever that is loaded. Since 1.29 it sends telemetry by default: it makes a device id and a
 * database in the user's cache, a log in the temporary directory, and calls a collector. A user who wants that sets the variable to 0.
 * JavaScript, because workers are loaded by their path.
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';
