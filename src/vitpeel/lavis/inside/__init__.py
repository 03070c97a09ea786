"""What runs in LAVIS's environment: Python 3.11 and the versions of envs/lavis.txt, older than vitpeel's."""
