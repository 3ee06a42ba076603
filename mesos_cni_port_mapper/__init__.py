"""Forward host ports to containers on any CNI network: the port mapper of Apache Mesos, anew."""

__version__ = "0.1.0"
