"""What starts runs without anybody asking: the job, its schedule, sensors, freshness, alerts, upkeep."""
