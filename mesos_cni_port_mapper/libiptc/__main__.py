"""The program ``mesos-cni-libiptc``: real streams in, exit status out."""

from __future__ import annotations

from mesos_cni_port_mapper.libiptc.program import main

if __name__ == "__main__":
    main()
