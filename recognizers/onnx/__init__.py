"""ONNX files as target models: read, checked and bounded before anything of them is computed."""
