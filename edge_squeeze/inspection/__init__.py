"""What a .tflite or .onnx file contains, read from its bytes without any engine."""
