"""Job types as typed contracts: what can be asked for, by whom it is asked and answered."""
