"""`mesos-cni ports`: what is forwarded on this host, and how to put it in order."""
