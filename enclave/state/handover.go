package state

// HandOver ends the log in this database: once this function is settled nothing
// is appended, charged or booked here ([ErrHandedOver]), by any process, until
// TakeOver. The function appends the entry that says so. What is settled can
// still be read.
func (tx *Tx) HandOver() { tx.b.closed = true }

// TakeOver lets a log that was handed over go on here. The function appends the
// entry that says so.
func (tx *Tx) TakeOver() { tx.b.closed = false }

// changed tells whether the function would leave anything behind.
func (tx *Tx) changed() bool {
	return tx.wrote || len(tx.seqs) > 0 || len(tx.b.answers) > len(tx.before.answers)
}
