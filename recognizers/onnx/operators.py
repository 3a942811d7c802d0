"""The operators that an ONNX file may have: what face networks compute with, of the default domain alone.

Each is a function of its inputs, whose output's shape follows from theirs. Not among them: operators that hold graphs of
their own, draw random numbers, keep a state, or enlarge what they are given (Tile, Resize, Upsample).
"""

_LAYERS = {"Conv", "BatchNormalization", "InstanceNormalization", "LayerNormalization", "LRN", "Gemm", "MatMul", "Dropout"}
_ACTIVATIONS = {
    *("Clip", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Relu", "Selu", "Sigmoid"),
    *("Softmax", "Softplus", "Tanh"),
}
_POOLING = {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}
_ARITHMETIC = {"Abs", "Add", "Div", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Sqrt", "Sub", "Sum"}
_REDUCTIONS = {"LpNormalization", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare"}
_SHAPES = {
    *("Concat", "Expand", "Flatten", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
    *("Cast", "Constant", "ConstantOfShape", "Gather", "Identity", "Shape"),
}

ALLOWED = frozenset(_LAYERS | _ACTIVATIONS | _POOLING | _ARITHMETIC | _REDUCTIONS | _SHAPES)
CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
