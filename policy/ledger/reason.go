package ledger

// Reason is why something was refused or stopped: stable, on the wire, in
// denied entries and in google.rpc.ErrorInfo (domain "yingbi").
type Reason string

// Reasons of admission and of the gateway. Messages for people are keyed by them.
const (
	ReasonNoGrant            Reason = "NO_GRANT"              // no grant permits this product for this purpose now
	ReasonGrantExpired       Reason = "GRANT_EXPIRED"         // the grant's term is over or has not begun
	ReasonGrantRevoked       Reason = "GRANT_REVOKED"         //
	ReasonPurposeNotGranted  Reason = "PURPOSE_NOT_GRANTED"   //
	ReasonPurposeNoBasis     Reason = "PURPOSE_WITHOUT_BASIS" // the product names no legal basis for the purpose
	ReasonQuotaExhausted     Reason = "QUOTA_EXHAUSTED"       //
	ReasonShareExhausted     Reason = "POPULATION_SHARE"      // the release rule's share of the population is used up
	ReasonBatchTooLarge      Reason = "BATCH_TOO_LARGE"       //
	ReasonNotEntitled        Reason = "NOT_ENTITLED"          // the grant is for other cells, or for fewer
	ReasonStanding           Reason = "STANDING_SUSPENDED"    // 失信
	ReasonNotPublished       Reason = "PRODUCT_NOT_PUBLISHED" //
	ReasonSuspended          Reason = "PRODUCT_SUSPENDED"     //
	ReasonWithdrawn          Reason = "PRODUCT_WITHDRAWN"     //
	ReasonAssessmentExpired  Reason = "ASSESSMENT_EXPIRED"    //
	ReasonGradeForbids       Reason = "GRADE_FORBIDS"         //
	ReasonNegativeList       Reason = "NEGATIVE_LIST"         //
	ReasonAuthorisationEnded Reason = "AUTHORISATION_ENDED"   //
	ReasonOutsideScope       Reason = "OUTSIDE_AUTHORISATION" //
	ReasonConsentMissing     Reason = "CONSENT_MISSING"       // personal information without a consent root
	ReasonNoTariff           Reason = "NO_TARIFF"             // nothing prices this product now
	ReasonOperatorRule       Reason = "OPERATOR_RULE"         // a forbid of the operator's own
	ReasonPolicyError        Reason = "POLICY_ERROR"          // a policy could not be evaluated: denied
	ReasonEpochEnded         Reason = "EPOCH_ENDED"           // the epoch is no longer served; renew
	ReasonWrongOrigin        Reason = "WRONG_ORIGIN"          //
	ReasonNotRegistered      Reason = "ENTERPRISE_NOT_REGISTERED"
	ReasonWrongIdentity      Reason = "WRONG_IDENTITY"    // certificate and header disagree
	ReasonBadSignature       Reason = "BAD_SIGNATURE"     //
	ReasonBadRequest         Reason = "BAD_REQUEST"       // malformed
	ReasonJobReused          Reason = "JOB_REUSED"        // another payload under a settled job id
	ReasonUnknownProduct     Reason = "UNKNOWN_PRODUCT"   //
	ReasonUnknownJob         Reason = "UNKNOWN_JOB"       //
	ReasonLookupsExhausted   Reason = "LOOKUPS_EXHAUSTED" // more lookups than evaluations and padding
	ReasonUploadsFull        Reason = "UPLOADS_FULL"      // no place for a payload
	ReasonRateLimited        Reason = "RATE_LIMITED"      //
	ReasonUnavailable        Reason = "UNAVAILABLE"       // try again
	ReasonInternal           Reason = "INTERNAL"          //
)

// Reasons of operator verbs, in stop and correction entries.
const (
	ReasonOperatorDecision Reason = "OPERATOR_DECISION"
	ReasonRiskFound        Reason = "RISK_FOUND"
	ReasonEndOfService     Reason = "END_OF_SERVICE"
	ReasonBreachOfContract Reason = "BREACH_OF_CONTRACT"
	ReasonRemedied         Reason = "REMEDIED"
)
