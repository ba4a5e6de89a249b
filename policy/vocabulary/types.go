package vocabulary

// Kind names a manifest's kind. The Chinese terms are those of the policies.
type Kind string

// The kinds of this version.
const (
	KindAuthorisation Kind = "Authorisation" // 公共数据资源授权
	KindResource      Kind = "Resource"      // 公共数据资源
	KindProduct       Kind = "Product"       // 数据产品和服务
	KindEnterprise    Kind = "Enterprise"    // 企业
	KindGrant         Kind = "Grant"         // 使用许可
	KindCeiling       Kind = "Ceiling"       // 上限收费标准
	KindTariff        Kind = "Tariff"        // 具体收费标准
	KindNegativeList  Kind = "NegativeList"  // 负面清单
)

// Meta is what every manifest begins with. IDs are [a-z0-9][a-z0-9.-]{0,62};
// an Enterprise's id is its unified social credit code.
type Meta struct {
	Kind  Kind   `json:"kind" is:"kind"`
	ID    string `json:"id" is:"id"`
	Title Text   `json:"title"`
}

// Text is shown to people, in English and Chinese.
type Text struct {
	En string `json:"en" is:"text"`
	Zh string `json:"zh,omitempty" is:"text"`
}

// Date is a day in China Standard Time, 2006-01-02.
type Date string

// Purpose is what a use is for (使用目的).
type Purpose string

// The purposes. The first two are free of charge (65号 一).
const (
	PublicGovernance Purpose = "public-governance" // 公共治理
	PublicWelfare    Purpose = "public-welfare"    // 公益事业
	Industry         Purpose = "industry"          // 产业、行业发展
)

// Grade is a resource's class and grade (分类分级).
type Grade string

// The grades, weakest protection first.
const (
	GradeOpen      Grade = "open"
	GradeGeneral   Grade = "general"
	GradeImportant Grade = "important"
	GradeCore      Grade = "core"
	GradeSecret    Grade = "secret"
)

// Authorisation is the authorising body's grant to the operator. Its end
// stops new jobs. Signed by the authoriser.
type Authorisation struct {
	Meta
	Operator   string    `json:"operator" is:"credit-code"`                // credit code of the operator 运营机构
	Authoriser string    `json:"authoriser" is:"name"`                     // name of the authorising body 授权主体
	Mode       string    `json:"mode" is:"whole|sector|scenario"`          // whole 整体, sector 分领域, scenario 依场景
	Sectors    []string  `json:"sectors,omitempty" is:"slug" n:"1..256"`   // resource categories, for mode sector
	Scenarios  []string  `json:"scenarios,omitempty" is:"slug" n:"1..256"` // product scenarios, for mode scenario
	Resources  []string  `json:"resources,omitempty" is:"id" n:"1..1024"`  // resource ids; empty: all of the mode
	Purposes   []Purpose `json:"purposes" is:"purpose" n:"1..3"`           //
	From       Date      `json:"from" is:"date"`                           // first day
	Until      Date      `json:"until" is:"date"`                          // last day
	Conditions Text      `json:"conditions"`                               //
	Exit       Text      `json:"exit"`                                     // 退出机制
	Level      string    `json:"level" is:"central|local"`                 // pricing catalogue: central or local
	Document   string    `json:"document,omitempty" is:"digest"`           // digest of the signed paper
}

// Resource is a registered public data resource.
type Resource struct {
	Meta
	Registration        string   `json:"registration" is:"registration"` // 登记号
	Provider            string   `json:"provider" is:"name"`             // provider department 数据提供部门
	SourceOfTruth       string   `json:"sourceOfTruth" is:"name"`        // 一数一源
	Category            string   `json:"category" is:"slug"`             // sector, e.g. market-regulation
	Grade               Grade    `json:"grade" is:"grade"`               //
	PersonalInformation bool     `json:"personalInformation"`            //
	Synthetic           bool     `json:"synthetic,omitempty"`            // made-up data, for the sandbox
	Subject             string   `json:"subject" is:"column"`            // the column that names the subject
	Columns             []Column `json:"columns" n:"1..256"`             //
	UpdateCycle         string   `json:"updateCycle" is:"cycle"`         // e.g. daily, monthly
	LegalBasis          Text     `json:"legalBasis"`                     //
	Quality             *Quality `json:"quality,omitempty"`              // what an import must reach
	Budget              *Budget  `json:"budget,omitempty"`               // what products under privacy may spend
}

// Quality are floors, as decimal fractions of 0 to 1.
type Quality struct {
	Completeness string `json:"completeness" is:"part"` // of required columns, over all rows
}

// Column is one column of a resource.
type Column struct {
	Name     string `json:"name" is:"column"`                             // [a-z][a-z0-9_]{0,62}
	Type     string `json:"type" is:"string|integer|number|date|boolean"` // string, integer, number, date, boolean
	Role     string `json:"role" is:"key|label|dimension|measure|hidden"` // key, label, dimension, measure, hidden
	Title    Text   `json:"title"`                                        //
	Required bool   `json:"required,omitempty"`                           // an empty value is a fault
	Unique   bool   `json:"unique,omitempty"`                             // a repeated value is a fault
	Pattern  string `json:"pattern,omitempty" is:"regexp"`                // RE2, the whole value
	MaxBytes int    `json:"maxBytes,omitempty" is:"1..65536"`             // of a string value; default 1024
}

// Product is a data product or service.
type Product struct {
	Meta
	Type         string           `json:"type" is:"product-type"`           // verify, aggregate (model later)
	Registration string           `json:"registration" is:"registration"`   //
	Resource     string           `json:"resource" is:"id"`                 //
	Scenario     string           `json:"scenario" is:"slug"`               //
	Sandbox      bool             `json:"sandbox,omitempty"`                // free, no grant; only over a synthetic resource
	LegalBasis   map[Purpose]Text `json:"legalBasis" is:"purpose" n:"1..3"` // a purpose that is not here is refused
	Verify       *Verify          `json:"verify,omitempty"`                 // of type verify, and only then
	Aggregate    *Aggregate       `json:"aggregate,omitempty"`              // of type aggregate, and only then
	Release      Release          `json:"release"`                          //
	Assessment   Assessment       `json:"assessment"`                       // 安全风险评估
}

// Verify is the spec of a verify product: who is looked up, by what, and what
// is answered.
type Verify struct {
	Answer     string   `json:"answer" is:"exists|equals|label"`             // exists, equals, label
	Keys       []string `json:"keys" is:"column" n:"1..8"`                   // key columns; together unique
	Claims     []string `json:"claims,omitempty" is:"column" n:"1..8"`       // equals: claimed columns
	Labels     []Label  `json:"labels,omitempty" n:"1..8"`                   // label: answered columns
	LabelBytes int      `json:"labelBytes,omitempty" is:"1..64"`             // label: bytes per label, 1 to 64
	Duplicates string   `json:"duplicates,omitempty" is:"refuse|first|last"` // refuse (default), first or last: what repeated keys do
	Blanks     string   `json:"blanks,omitempty" is:"refuse|skip"`           // refuse (default) or skip: what blank keys do
	Normalise  string   `json:"normalise" is:"normalise"`                    // rule of compute/oprf, e.g. text-v1
	MaxBatch   int      `json:"maxBatch,omitempty" is:"1..2048"`             // identifiers a job; default 2048, at most 2048
	Padding    int      `json:"padding,omitempty" is:"0..2048"`              // lookups a job may make beyond its identifiers
	GraceDays  int      `json:"graceDays,omitempty" is:"1..90"`              // how long an old epoch stays served; default 7
}

// Label is one answered column, banded where bands are given.
type Label struct {
	Column string `json:"column" is:"column"`
	Bands  []Band `json:"bands,omitempty" n:"1..256"`
}

// Band names the values below an upper bound (numbers: exclusive; the last
// band has none) or, for strings, those with a prefix.
type Band struct {
	Name   string `json:"name" is:"name"`
	Below  string `json:"below,omitempty" is:"name"`
	Prefix string `json:"prefix,omitempty" is:"name"`
}

// Release is a product's release rule: what a person reviewed.
type Release struct {
	Columns      []string `json:"columns" is:"column" n:"1..32"`      // all columns that reach an answer, an input or a condition
	MaxLabelBits int      `json:"maxLabelBits,omitempty" is:"1..512"` // label: ⌈log2 of distinct labels⌉ may not pass this
	MaxShare     Share    `json:"maxShare,omitzero"`                  // verify
}

// Share is the largest part of the population that one enterprise may look up
// in one period.
type Share struct {
	Fraction string `json:"fraction" is:"fraction"`  // decimal, 0 < f ≤ 1
	Per      string `json:"per" is:"day|month|term"` // day, month, term
}

// Assessment is a security risk assessment.
type Assessment struct {
	Digest  string `json:"digest" is:"digest"` // "sha256:" + hex
	Expires Date   `json:"expires" is:"date"`  // last day
}

// Enterprise is a registered enterprise. Its id is its unified social credit
// code 统一社会信用代码.
type Enterprise struct {
	Meta
	SigningKey   string `json:"signingKey" is:"key"`          // "ed25519:" + base64
	Standing     string `json:"standing" is:"good|suspended"` // good or suspended 失信
	Jurisdiction string `json:"jurisdiction" is:"country"`    // ISO 3166-1 alpha-2
}

// Grant permits an enterprise the use of products for purposes.
type Grant struct {
	Meta
	Enterprise string        `json:"enterprise" is:"credit-code"`
	Products   []string      `json:"products" is:"id" n:"1..256"`
	Purposes   []Purpose     `json:"purposes" is:"purpose" n:"1..3"`
	Conditions Text          `json:"conditions,omitzero"`            // demanded for free purposes
	Evidence   string        `json:"evidence,omitempty" is:"digest"` // digest; demanded for free purposes
	Basis      Text          `json:"basis,omitzero"`                 // legal basis; demanded for free purposes
	From       Date          `json:"from" is:"date"`
	Until      Date          `json:"until" is:"date"`
	Quotas     []Quota       `json:"quotas" n:"1..6"`
	Contract   string        `json:"contract" is:"digest"`       // digest of the signed contract
	Cells      []Entitlement `json:"cells,omitempty" n:"1..256"` // of aggregate products; a product that is not here: all cells
}

// Quota bounds a grant's use of each of its products.
type Quota struct {
	Unit  string `json:"unit" is:"subjects|cells|calls"` // subjects, cells or calls
	Per   string `json:"per" is:"day|month|term"`        // day, month, term
	Limit int64  `json:"limit" is:"1.."`                 //
}

// Ceiling is the highest price of a product. Signed by the authoriser.
type Ceiling struct {
	Meta
	Product  string `json:"product" is:"id"`
	Basis    string `json:"basis" is:"basis"` // per-subject, per-call, per-volume, per-product
	Amount   string `json:"amount" is:"money"`
	From     Date   `json:"from" is:"date"`
	Document string `json:"document" is:"digest"` // digest of the decision
}

// Tariff is the operator's price of a product. It never names an enterprise.
type Tariff struct {
	Meta
	Product string `json:"product" is:"id"`
	Basis   string `json:"basis" is:"basis"`
	Price   string `json:"price" is:"money"` // yuan a unit
	Trial   bool   `json:"trial"`            // 试行
	From    Date   `json:"from" is:"date"`
	Until   Date   `json:"until,omitempty" is:"date"` // last day; empty: until the next
}

// NegativeList names columns and categories that no product may use.
type NegativeList struct {
	Meta
	Columns    []string `json:"columns,omitempty" is:"column-ref" n:"1..1024"` // "resource.column" or "*.column"
	Categories []string `json:"categories,omitempty" is:"slug" n:"1..256"`     //
}
