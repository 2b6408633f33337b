/**
 * Import this before onnxruntime-node, wherever that is loaded. Since 1.29 it sends telemetry by default: it makes a
 * device id and a database in the user's cache and a log in the temporary directory, and contacts a collector. Users
 * who want telemetry set the variable to 0. This file is JavaScript because workers are loaded by their path.
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';
