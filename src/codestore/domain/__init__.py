"""Words and rules of the platform: standard library only, frozen values, no effects."""
