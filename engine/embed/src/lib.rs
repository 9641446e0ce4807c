//! Text embedding on ONNX Runtime.
