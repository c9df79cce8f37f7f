"""Decision forests compiled to plain ONNX operators: trees in, a graph out.

Nothing here knows of Tezi; the package needs numpy and onnx alone.
"""
