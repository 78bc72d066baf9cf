"""Somebody whom the doctor examines."""

from pathlib import Path

import pytest
from patients import Patient, dead
from stored import store

from background_agents.testing.contracts.samples import completed, launched, registered


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """One who is well, and has delegated nothing yet."""
    return Patient.healthy(tmp_path / "patient")


@pytest.fixture
def used(patient: Patient) -> Patient:
    """One in whose project something was delegated, and has ended."""
    store(patient.database, registered(owner=dead()), launched(), completed())
    return patient
