package enclavetest

import (
	"crypto/ed25519"
	"fmt"
	"strings"

	"github.com/yingbi/yingbi/policy/ledger"
)

// EnterpriseManifest is an enterprise's manifest.
func EnterpriseManifest(e *Enterprise) string {
	return fmt.Sprintf(`kind: Enterprise
id: %s
title: {en: Enterprise %s}
signingKey: %s
standing: good
jurisdiction: CN
`, e.Code, e.Code, ledger.FormatKey(e.Signing.Public().(ed25519.PublicKey)))
}

// Grants are an enterprise's grants of "sector" and "holder" for industry, and
// of "sector" for public welfare.
func Grants(code string) string {
	return fmt.Sprintf(`kind: Grant
id: industry-%[2]s
title: {en: Industry}
enterprise: %[1]s
products: [holder, sector]
purposes: [industry]
from: 2026-01-01
until: 2035-12-31
quotas:
  - {unit: subjects, per: day, limit: 40}
  - {unit: subjects, per: term, limit: 1000}
contract: sha256:c0ffee5f6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f
---
kind: Grant
id: welfare-%[2]s
title: {en: Relief}
enterprise: %[1]s
products: [sector]
purposes: [public-welfare]
basis: {en: Relief programme}
conditions: {en: Applicants only}
evidence: sha256:1e0d3c2b5a49687786958473625140f3e2d1c0bfaeadacabaaa9a8a7a6a5a4a3
from: 2026-01-01
until: 2035-12-31
quotas:
  - {unit: subjects, per: month, limit: 500}
contract: sha256:c0ffee5f6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f
`, code, strings.ToLower(code))
}

// Manifests are all that Standard applies but enterprises and grants.
const Manifests = `kind: Authorisation
id: market-data
title: {en: Authorised operation of market regulation data}
operator: 91310000MA1FL5XW2J
authoriser: Test authority
mode: sector
sectors: [market-regulation]
purposes: [public-governance, public-welfare, industry]
from: 2026-01-01
until: 2035-12-31
conditions: {en: Answers only}
exit: {en: Keys are destroyed}
level: local
---
kind: Resource
id: licences
title: {en: Business licences}
registration: R-1
provider: Test department
sourceOfTruth: Licence register
category: market-regulation
grade: general
personalInformation: false
subject: account
updateCycle: monthly
legalBasis: {en: Test ordinance}
columns:
  - {name: account, type: string, role: key, required: true, unique: true, pattern: "A[0-9]{6}", title: {en: Account}}
  - {name: name, type: string, role: key, required: true, title: {en: Name}}
  - {name: sector, type: string, role: label, required: true, title: {en: Sector}}
  - {name: secret, type: string, role: hidden, title: {en: Not for anyone}}
---
` + SectorProduct + `---
kind: Product
id: holder
title: {en: Does this account with this name hold a licence?}
type: verify
registration: P-2
resource: licences
scenario: business-verification
legalBasis:
  industry: {en: Contract}
verify:
  answer: equals
  keys: [account]
  claims: [name]
  normalise: text-v1
release:
  columns: [account, name]
  maxShare: {fraction: "0.5", per: month}
assessment:
  digest: sha256:0f4e8b6a2c9d7153e8a6b4c2d0f1e3957a8b6c4d2e0f19385746a5b4c3d2e1f0
  expires: 2035-12-31
---
kind: Resource
id: made-up
title: {en: Made-up licences}
registration: R-2
provider: Operator
sourceOfTruth: synthetic
category: sandbox
grade: open
personalInformation: false
synthetic: true
subject: account
updateCycle: irregular
legalBasis: {en: Synthetic data}
columns:
  - {name: account, type: string, role: key, required: true, unique: true, title: {en: Account}}
  - {name: name, type: string, role: key, required: true, title: {en: Name}}
  - {name: sector, type: string, role: label, required: true, title: {en: Sector}}
  - {name: secret, type: string, role: hidden, title: {en: Not for anyone}}
---
kind: Product
id: sandbox
title: {en: Sandbox}
type: verify
registration: P-3
resource: made-up
scenario: sandbox
sandbox: true
legalBasis:
  industry: {en: Synthetic data}
verify:
  answer: exists
  keys: [account]
  normalise: text-v1
release:
  columns: [account]
  maxShare: {fraction: "1", per: day}
assessment:
  digest: sha256:7d1c0a9b8e7f6d5c4b3a29181706f5e4d3c2b1a09f8e7d6c5b4a392817060504
  expires: 2035-12-31
---
kind: Ceiling
id: holder-ceiling
title: {en: Ceiling}
product: holder
basis: per-subject
amount: "0.1600"
from: 2026-01-01
document: sha256:9a8b7c6d5e4f30211203f4e5d6c7b8a90a1b2c3d4e5f60718293a4b5c6d7e8f9
---
kind: Ceiling
id: sector-ceiling
title: {en: Ceiling}
product: sector
basis: per-subject
amount: "0.2000"
from: 2026-01-01
document: sha256:9a8b7c6d5e4f30211203f4e5d6c7b8a90a1b2c3d4e5f60718293a4b5c6d7e8f9
---
kind: Tariff
id: holder-tariff
title: {en: Tariff}
product: holder
basis: per-subject
price: "0.1537"
trial: true
from: 2026-01-01
---
kind: Tariff
id: sector-tariff
title: {en: Tariff}
product: sector
basis: per-subject
price: "0.1800"
trial: false
from: 2026-01-01
`

// SectorProduct is the manifest of the product "sector".
const SectorProduct = `kind: Product
id: sector
title: {en: In which sector is this account?}
type: verify
registration: P-1
resource: licences
scenario: business-verification
legalBasis:
  industry: {en: Contract}
  public-welfare: {en: Relief}
verify:
  answer: label
  keys: [account]
  labels: [{column: sector}]
  labelBytes: 12
  normalise: text-v1
  padding: 4
  graceDays: 7
release:
  columns: [account, sector]
  maxLabelBits: 2
  maxShare: {fraction: "0.5", per: month}
assessment:
  digest: sha256:0f4e8b6a2c9d7153e8a6b4c2d0f1e3957a8b6c4d2e0f19385746a5b4c3d2e1f0
  expires: 2035-12-31
`
