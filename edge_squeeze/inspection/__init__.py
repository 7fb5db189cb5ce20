"""What a .tflite or .onnx file really holds, read from its bytes without any engine."""
