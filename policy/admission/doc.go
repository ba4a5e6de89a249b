// Package admission decides whether an enterprise may use a product for a
// purpose now (准入). Facts go in, a decision comes out, and everything that the
// decision rests on is on the ledger, so that an auditor decides again and gets
// the same. It is pure: no SQL, no files, no clock, no network.
//
// # The world
//
// A [World] is a fold over the ledger: the manifests in force, who holds which
// key, what is reviewed, published, suspended or revoked. Gateway and audit fold
// with the same code. Every control entry is checked as it is folded:
//
//   - entry 0 is the genesis, which pins the keys of operator, authoriser and
//     authority; nothing later changes them;
//   - a manifest is canonical, has the digest and the version that it states,
//     is signed by the operator ([SignManifest]), carries the authoriser's
//     signature where its kind demands one, which counts once, so that an old
//     ceiling does not come back, and means something beside what is in force
//     (references, ceilings, the authorisation's scope);
//   - a review is by an enrolled reviewer whose key is no author's, over the
//     product document as it stands ([SignReview]);
//   - a publication follows a review of the same document, and its epoch and
//     version follow the last ones;
//   - a publication under privacy follows its two spends, of the resource's lifetime
//     budget and of the month's or year's, in the entries right before it, and both
//     have as much left; a spend is followed so;
//   - a stop fits what it stops;
//   - a shred or the retirement of an OPRF key takes nothing that is served: a
//     shredded epoch, and every epoch made of a shredded column, is over from
//     that entry on, whatever grace was promised, and nothing is imported or
//     published that needs what is gone.
//
// [World.Fold] is for those who serve: it changes nothing if anything is wrong.
// [World.Follow] is for those who audit: it goes on as far as the entry can be
// understood and returns all faults. [World.Rehearse] folds entries that are not
// logged yet into a copy: operator verbs call it before they append.
//
// # Lifecycle
//
//	draft ── review ──▶ reviewed ── publish ──▶ published ⇄ suspended
//	  ▲                    │                        │
//	  └── document changes ┘                        └── withdraw ──▶ withdrawn
//
// What is served is the document that was reviewed and published: a World keeps
// it. A changed document of a live product is a draft beside it. It binds nobody
// until it is reviewed and published in its turn, and it stops nobody either:
// whoever wants a product off the air suspends it. A changed *resource*, a
// negative list, an authorisation and an enterprise's standing act at once.
//
// Each publication is a version of an epoch: 1, 2, …; the next epoch starts
// with version 1 again. What the answers mean (answer kind, keys, claims,
// labels, normalisation) may only change with the epoch: one key, one meaning.
// Every publication of an aggregate product is an epoch of its own.
// An old epoch stays served for the grace that its own document promised,
// counted from the publication that ended it.
//
// # Privacy budgets (隐私预算)
//
// A resource's manifest says what publications under privacy may spend, ever and in
// a month or year of China Standard Time, in millionths of rho. Budgets are whole
// numbers and add up; cutting one below what was spent leaves nothing.
// [World.PrivacyStatement] says whether a resource's cells were all released so.
// A log that stands in for another begins with its budgets used up ([World.UsedUp]).
//
// # Policies
//
// [Compile] writes Cedar: a permit for every grant in force (the policy's id is
// the grant's), one permit for sandbox products, and the red lines below as
// forbids; the operator's own forbids are added from the ledger. There is no
// schema; every attribute named here is always present.
//
//	principal  Enterprise::"<credit code>"  registered, standing, jurisdiction
//	action     Action::"verify"             the product's kind, or "aggregate"
//	resource   Product::"<id>" in Resource::"<id>", Authorisation::"<id>", …
//	           status, serves, sandbox, scenario, purposes, maxBatch,
//	           assessedUntil, negativeListed, gradePermits, grade, category,
//	           personalInformation, needsConsent
//	context    purpose, units, epoch, epochEnds, now, grant, renewal, consent
//
// Times are Long, milliseconds since 1970; days begin in China Standard Time.
// Cedar's decimals are not used: cedar-go 1.9.0 overflows in them.
//
//	rule                    reason                     the job is refused when
//	yingbi/product          UNKNOWN_PRODUCT            there is no such product
//	yingbi/enterprise       ENTERPRISE_NOT_REGISTERED  the enterprise has no manifest
//	yingbi/standing         STANDING_SUSPENDED         its standing is suspended (失信)
//	yingbi/withdrawn        PRODUCT_WITHDRAWN          the product is withdrawn
//	yingbi/suspended        PRODUCT_SUSPENDED          the product is suspended
//	yingbi/published        PRODUCT_NOT_PUBLISHED      it was never published
//	yingbi/kind             BAD_REQUEST                the job is of another kind
//	yingbi/negative-list    NEGATIVE_LIST              it uses what the list names
//	yingbi/grade            GRADE_FORBIDS              the resource's grade forbids it
//	yingbi/scope            OUTSIDE_AUTHORISATION      no authorisation covers it and the purpose
//	yingbi/term             AUTHORISATION_ENDED        none that covers it is in its term
//	yingbi/purpose          PURPOSE_WITHOUT_BASIS      it states no legal basis for the purpose
//	yingbi/assessment       ASSESSMENT_EXPIRED         its risk assessment has expired
//	yingbi/epoch            EPOCH_ENDED                the epoch is not served
//	yingbi/batch            BATCH_TOO_LARGE            the batch is over the product's
//	yingbi/consent          CONSENT_MISSING            personal information, no consent root
//	operator/<id>/<n>       OPERATOR_RULE              a forbid of the operator's own holds
//	yingbi/tariff           NO_TARIFF                  nothing prices the product now
//
// Where several rules refuse, the first of this table is named. Where nothing
// permits, the grants of the enterprise say why: revoked, out of its term, for
// another purpose, or none at all. cedar-go skips a policy whose evaluation
// fails, a forbid too; here any evaluation error denies, as POLICY_ERROR.
//
// Sandbox products need no grant and no authorisation: their data is made up.
//
// # What a decision carries
//
// The Cedar request whole, as canonical JSON; the digest of the entities it met
// (principal, resource and its parents, as a canonical JSON array ordered by
// type and id); the digest of the policy set (a line "<policy id> <digest of
// its text>" per policy, by id); the policy that decided and the grant that is
// charged. Policy texts are written here, not by cedar-go, so that a digest
// does not hang on a library's formatting.
//
// # What is charged
//
// [Candidate] is a grant that permits the job, with all that settling needs:
// price, ground of an exemption, and the counters to charge. Days and months are
// China Standard Time; a quota's term is the grant's. A share of the population
// counts per enterprise and product over all its grants; its term is the
// product's whole life. Cells are charged to quotas of cells and of calls, and to
// no share: whoever has all of them has what was released. Everything that releases answers counts, free or not,
// and a renewal too: it is free of charge, not of the release rule.
package admission
