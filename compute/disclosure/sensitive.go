package disclosure

// Sensitive says which cells of a table are withheld or break a rule, before
// anything else is suppressed for their sake. For callers whose tables are of
// different cells, and so not for ProtectAll: what is sensitive in one can be
// withheld in the others from the start.
func Sensitive(table Table, rules Rules) ([]bool, error) {
	return sensitiveInAny([]Table{table}, rules)
}
