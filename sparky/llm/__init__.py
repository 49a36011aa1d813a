"""Language models behind one door: each module adapts one kind of server to `ports.Backend`."""
