"""What was repaired because the fault run found it, by operation; kept by hand."""

MENDED = {
    "sample": [
        "worker processes went on after their parent was killed",
        "SIGTERM left the temporary folder behind",
    ],
    "prepare": ["worker processes went on for ever after their parent was killed"],
    "beam-prepare": [
        "an interrupt was printed as a traceback and called a failed job",
        "a full disk was told with a traceback before its line",
    ],
    "export": ["two exports of one graph to ONNX differed in the names of their nodes"],
    "demo on a folder": ["temporary files of a killed run stayed"],
}
