"""What watches an installation: rules and configuration of Prometheus and Alertmanager, dashboards of Grafana."""
