"""What is compared; each module makes the workloads of one kind."""
