package logtest

import "github.com/yingbi/yingbi/policy/vocabulary"

// Documents are the sample's manifests, each after those it refers to.
func Documents() []vocabulary.Document {
	return []vocabulary.Document{
		Licences(), SandboxLicences(),
		&vocabulary.NegativeList{Meta: meta(vocabulary.KindNegativeList, "negative-list"), Columns: []string{"business-licences.ubi"}},
		Authorisation(),
		LicenceHolder(), SandboxSector(),
		EnterpriseDoc(),
		IndustryGrant(), WelfareGrant(),
		Ceiling("0.1600"),
		Tariff("0.1537", "2026-01-01"),
	}
}

func meta(kind vocabulary.Kind, id string) vocabulary.Meta {
	return vocabulary.Meta{Kind: kind, ID: id, Title: vocabulary.Text{En: id}}
}

func text(s string) vocabulary.Text { return vocabulary.Text{En: s} }

// Licences is the real resource.
func Licences() *vocabulary.Resource {
	return &vocabulary.Resource{
		Meta: meta(vocabulary.KindResource, "business-licences"), Registration: "GS-1", Provider: "Finance",
		SourceOfTruth: "register", Category: "market-regulation", Grade: vocabulary.GradeGeneral,
		Subject: "account", UpdateCycle: "monthly", LegalBasis: text("ordinance"),
		Columns: []vocabulary.Column{
			{Name: "account", Type: "string", Role: "key", Title: text("account"), Required: true, Unique: true},
			{Name: "legal_name", Type: "string", Role: "key", Title: text("name"), Required: true},
			{Name: "ubi", Type: "string", Role: "hidden", Title: text("ubi")},
		},
	}
}

// SandboxLicences is the made-up resource.
func SandboxLicences() *vocabulary.Resource {
	return &vocabulary.Resource{
		Meta: meta(vocabulary.KindResource, "sandbox-licences"), Registration: "GS-2", Provider: "Operator",
		SourceOfTruth: "synthetic", Category: "sandbox", Grade: vocabulary.GradeOpen, Synthetic: true,
		Subject: "account", UpdateCycle: "irregular", LegalBasis: text("synthetic"),
		Columns: []vocabulary.Column{
			{Name: "account", Type: "string", Role: "key", Title: text("account"), Required: true, Unique: true},
			{Name: "sector", Type: "string", Role: "label", Title: text("sector"), Required: true},
		},
	}
}

// Authorisation is the operator's, for the two sectors.
func Authorisation() *vocabulary.Authorisation {
	return &vocabulary.Authorisation{
		Meta: meta(vocabulary.KindAuthorisation, "market-data"), Operator: "91310000MA1FL5XW2J", Authoriser: "Municipality",
		Mode: "sector", Sectors: []string{"market-regulation", "sandbox"}, Purposes: vocabulary.Purposes,
		From: "2026-01-01", Until: "2028-12-31", Conditions: text("answers only"), Exit: text("notice"), Level: "local",
	}
}

// LicenceHolder is the priced product, over 9,614 licences. A tenth of them a
// month is 961.
func LicenceHolder() *vocabulary.Product {
	return &vocabulary.Product{
		Meta: meta(vocabulary.KindProduct, Product), Type: "verify", Registration: "CP-1", Resource: "business-licences",
		Scenario:   "business-verification",
		LegalBasis: map[vocabulary.Purpose]vocabulary.Text{vocabulary.Industry: text("contract"), vocabulary.PublicWelfare: text("relief")},
		Verify: &vocabulary.Verify{Answer: "equals", Keys: []string{"account"}, Claims: []string{"legal_name"},
			Normalise: "text-v1", MaxBatch: 500, GraceDays: 7},
		Release:    vocabulary.Release{Columns: []string{"account", "legal_name"}, MaxShare: vocabulary.Share{Fraction: "0.10", Per: "month"}},
		Assessment: vocabulary.Assessment{Digest: Digest("assessment"), Expires: "2028-06-30"},
	}
}

// SandboxSector is the sandbox product.
func SandboxSector() *vocabulary.Product {
	return &vocabulary.Product{
		Meta: meta(vocabulary.KindProduct, Sandbox), Type: "verify", Registration: "CP-2", Resource: "sandbox-licences",
		Scenario: "sandbox", Sandbox: true,
		LegalBasis: map[vocabulary.Purpose]vocabulary.Text{vocabulary.Industry: text("synthetic")},
		Verify: &vocabulary.Verify{Answer: "label", Keys: []string{"account"}, Labels: []vocabulary.Label{{Column: "sector"}},
			LabelBytes: 2, Normalise: "text-v1"},
		Release: vocabulary.Release{Columns: []string{"account", "sector"}, MaxLabelBits: 4,
			MaxShare: vocabulary.Share{Fraction: "1", Per: "day"}},
		Assessment: vocabulary.Assessment{Digest: Digest("assessment"), Expires: "2028-06-30"},
	}
}

// EnterpriseDoc is the enterprise.
func EnterpriseDoc() *vocabulary.Enterprise {
	m := meta(vocabulary.KindEnterprise, Enterprise)
	return &vocabulary.Enterprise{Meta: m, SigningKey: FormatPublic("enterprise"), Standing: "good", Jurisdiction: "CN"}
}

// IndustryGrant is for the paid purpose.
func IndustryGrant() *vocabulary.Grant {
	return &vocabulary.Grant{
		Meta: meta(vocabulary.KindGrant, Industry), Enterprise: Enterprise, Products: []string{Product},
		Purposes: []vocabulary.Purpose{vocabulary.Industry}, From: "2026-01-01", Until: "2027-12-31",
		Quotas:   []vocabulary.Quota{{Unit: "subjects", Per: "day", Limit: 250}, {Unit: "calls", Per: "term", Limit: 1000}},
		Contract: Digest("contract"),
	}
}

// WelfareGrant is for a free purpose.
func WelfareGrant() *vocabulary.Grant {
	return &vocabulary.Grant{
		Meta: meta(vocabulary.KindGrant, Welfare), Enterprise: Enterprise, Products: []string{Product},
		Purposes: []vocabulary.Purpose{vocabulary.PublicWelfare}, Basis: text("relief programme"),
		Conditions: text("applicants only"), Evidence: Digest("evidence"), From: "2026-01-01", Until: "2026-12-31",
		Quotas: []vocabulary.Quota{{Unit: "subjects", Per: "month", Limit: 500}}, Contract: Digest("contract"),
	}
}

// Ceiling is the product's.
func Ceiling(amount string) *vocabulary.Ceiling {
	return &vocabulary.Ceiling{Meta: meta(vocabulary.KindCeiling, "licence-holder-ceiling"), Product: Product,
		Basis: "per-subject", Amount: amount, From: "2026-01-01", Document: Digest("decision")}
}

// Tariff prices the product from a day on.
func Tariff(price string, from vocabulary.Date) *vocabulary.Tariff {
	return &vocabulary.Tariff{Meta: meta(vocabulary.KindTariff, "licence-holder-2026"), Product: Product,
		Basis: "per-subject", Price: price, Trial: true, From: from}
}
