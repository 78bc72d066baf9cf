"""The one way in for programs: finds projects, owners and services, starts one, and asks it."""
