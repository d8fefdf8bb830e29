"""Tests of the keeper: real processes, no mocks."""
