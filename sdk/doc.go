// Package sdk is how an enterprise's programs use a yingbi 影壁 gateway.
//
//	id, err := sdk.LoadIdentity("northwind")
//	client, err := sdk.Dial("gateway.example:8443", id)
//	defer client.Close()
//	result, err := client.Verify(ctx, "licence-sector", vocabulary.Industry, []sdk.Subject{
//		{"city_account_number": "0000000420000099"},
//	})
//
// Verify encodes and blinds each identifier, has the gateway evaluate the
// blinded values (this is the metered, priced step), checks the proof that the
// published key was used, looks each identifier up under encryption in the
// masked table, and unmasks the answers. It does nothing with a descriptor or
// key that is not in the gateway's log under a signed checkpoint that is
// consistent with the last one this identity saw. A receipt is held to the log's
// signature, to the request, and to the same log: the checkpoint that it is under
// is proved to continue the last one seen, or to be continued by it. Where the
// log's key has changed, the client follows the hand-overs that old and new keys
// signed from the key that it was enrolled with.
//
// Cells asks an aggregate product for cells that are published of it, by a query
// of groupings and codes. They are held to the publication's descriptor in the
// same log and to their receipt. The query itself is no secret: the gateway sees
// and meters it.
//
// # What leaves the machine
//
// The signed header (who, which product, which purpose, how many), blinded
// group elements and lattice ciphertexts. Identifiers, claims and answers do
// not. The gateway learns who asked, when, for which product and purpose, and
// how many identifiers; not which, and not whether they were found.
//
// # Failure
//
// Work is split into jobs of at most the product's batch. Each job's secret is
// written to the state directory before anything is sent, and everything that
// is sent derives from it: calling Verify again with the same subjects after a
// crash resends the same bytes, which the gateway answers again for free. A
// program that must not lose answers between Verify and its own storage takes
// them in WithDelivery: jobs are forgotten only after it. The same work twice at
// once is refused with ErrUnderWay. What is resumed is found by its subjects and
// by how they were split: where a product was published with another batch in
// between, unfinished work begins anew, and what it had settled is paid again.
//
// Calls that a busy or restarting gateway puts off are sent again for up to a
// minute. Errors from the gateway are *Error and carry its stable reason.
//
// # What this package does not defend
//
// A gateway that lies in lookup answers, or that watches what a client does
// after wrong ones: answers are not proved against the table's digest. This
// package therefore sends the same things whatever it decrypts. A gateway that
// keeps a forked log and is the only one to sign checkpoints. A compromised
// machine: job files and the identity's keys are readable to their owner.
package sdk
