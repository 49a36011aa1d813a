"""What the Swarm needs beside Sparky itself."""
