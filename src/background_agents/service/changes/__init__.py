"""What happens to changes while runs go on: whose calls may write what, and who did."""
