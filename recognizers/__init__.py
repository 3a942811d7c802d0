"""Face recognizers: architectures, checkpoints, label sets and face extraction."""
