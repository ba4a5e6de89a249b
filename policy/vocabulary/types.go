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
	Kind  Kind   `yaml:"kind" json:"kind"`
	ID    string `yaml:"id" json:"id"`
	Title Text   `yaml:"title" json:"title"`
}

// Text is shown to people, in English and Chinese.
type Text struct {
	En string `yaml:"en" json:"en"`
	Zh string `yaml:"zh,omitempty" json:"zh,omitempty"`
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
	Meta       `yaml:",inline"`
	Operator   string    `yaml:"operator" json:"operator"`                       // credit code of the operator 运营机构
	Authoriser string    `yaml:"authoriser" json:"authoriser"`                   // name of the authorising body 授权主体
	Mode       string    `yaml:"mode" json:"mode"`                               // whole 整体, sector 分领域, scenario 依场景
	Sectors    []string  `yaml:"sectors,omitempty" json:"sectors,omitempty"`     // resource categories, for mode sector
	Scenarios  []string  `yaml:"scenarios,omitempty" json:"scenarios,omitempty"` // product scenarios, for mode scenario
	Resources  []string  `yaml:"resources,omitempty" json:"resources,omitempty"` // resource ids; empty: all of the mode
	Purposes   []Purpose `yaml:"purposes" json:"purposes"`                       //
	From       Date      `yaml:"from" json:"from"`                               // first day
	Until      Date      `yaml:"until" json:"until"`                             // last day
	Conditions Text      `yaml:"conditions" json:"conditions"`                   //
	Exit       Text      `yaml:"exit" json:"exit"`                               // 退出机制
	Level      string    `yaml:"level" json:"level"`                             // pricing catalogue: central or local
	Document   string    `yaml:"document,omitempty" json:"document,omitempty"`   // digest of the signed paper
}

// Resource is a registered public data resource.
type Resource struct {
	Meta                `yaml:",inline"`
	Registration        string   `yaml:"registration" json:"registration"`               // 登记号
	Provider            string   `yaml:"provider" json:"provider"`                       // provider department 数据提供部门
	SourceOfTruth       string   `yaml:"sourceOfTruth" json:"sourceOfTruth"`             // 一数一源
	Category            string   `yaml:"category" json:"category"`                       // sector, e.g. market-regulation
	Grade               Grade    `yaml:"grade" json:"grade"`                             //
	PersonalInformation bool     `yaml:"personalInformation" json:"personalInformation"` //
	Synthetic           bool     `yaml:"synthetic,omitempty" json:"synthetic,omitempty"` // made-up data, for the sandbox
	Subject             string   `yaml:"subject" json:"subject"`                         // the column that names the subject
	Columns             []Column `yaml:"columns" json:"columns"`                         //
	UpdateCycle         string   `yaml:"updateCycle" json:"updateCycle"`                 // e.g. daily, monthly
	LegalBasis          Text     `yaml:"legalBasis" json:"legalBasis"`                   //
	Quality             *Quality `yaml:"quality,omitempty" json:"quality,omitempty"`     // what an import must reach
}

// Quality are floors, as decimal fractions of 0 to 1.
type Quality struct {
	Completeness string `yaml:"completeness" json:"completeness"` // of required columns, over all rows
}

// Column is one column of a resource.
type Column struct {
	Name     string `yaml:"name" json:"name"`                             // [a-z][a-z0-9_]{0,62}
	Type     string `yaml:"type" json:"type"`                             // string, integer, number, date, boolean
	Role     string `yaml:"role" json:"role"`                             // key, label, dimension, measure, hidden
	Title    Text   `yaml:"title" json:"title"`                           //
	Required bool   `yaml:"required,omitempty" json:"required,omitempty"` // an empty value is a fault
	Unique   bool   `yaml:"unique,omitempty" json:"unique,omitempty"`     // a repeated value is a fault
	Pattern  string `yaml:"pattern,omitempty" json:"pattern,omitempty"`   // RE2, the whole value
	MaxBytes int    `yaml:"maxBytes,omitempty" json:"maxBytes,omitempty"` // of a string value; default 1024
}

// Product is a data product or service.
type Product struct {
	Meta         `yaml:",inline"`
	Type         string           `yaml:"type" json:"type"`                           // verify (model and aggregate later)
	Registration string           `yaml:"registration" json:"registration"`           //
	Resource     string           `yaml:"resource" json:"resource"`                   //
	Scenario     string           `yaml:"scenario" json:"scenario"`                   //
	Sandbox      bool             `yaml:"sandbox,omitempty" json:"sandbox,omitempty"` // free, no grant; only over a synthetic resource
	LegalBasis   map[Purpose]Text `yaml:"legalBasis" json:"legalBasis"`               // a purpose that is not here is refused
	Verify       *Verify          `yaml:"verify,omitempty" json:"verify,omitempty"`   //
	Release      Release          `yaml:"release" json:"release"`                     //
	Assessment   Assessment       `yaml:"assessment" json:"assessment"`               // 安全风险评估
}

// Verify is the spec of a verify product: who is looked up, by what, and what
// is answered.
type Verify struct {
	Answer     string   `yaml:"answer" json:"answer"`                             // exists, equals, label
	Keys       []string `yaml:"keys" json:"keys"`                                 // key columns; together unique
	Claims     []string `yaml:"claims,omitempty" json:"claims,omitempty"`         // equals: claimed columns
	Labels     []Label  `yaml:"labels,omitempty" json:"labels,omitempty"`         // label: answered columns
	LabelBytes int      `yaml:"labelBytes,omitempty" json:"labelBytes,omitempty"` // label: bytes per label, 1 to 64
	Duplicates string   `yaml:"duplicates,omitempty" json:"duplicates,omitempty"` // refuse (default), first or last: what repeated keys do
	Blanks     string   `yaml:"blanks,omitempty" json:"blanks,omitempty"`         // refuse (default) or skip: what blank keys do
	Normalise  string   `yaml:"normalise" json:"normalise"`                       // rule of compute/oprf, e.g. text-v1
	MaxBatch   int      `yaml:"maxBatch,omitempty" json:"maxBatch,omitempty"`     // identifiers a job; default 2048, at most 2048
	Padding    int      `yaml:"padding,omitempty" json:"padding,omitempty"`       // lookups a job may make beyond its identifiers
	GraceDays  int      `yaml:"graceDays,omitempty" json:"graceDays,omitempty"`   // how long an old epoch stays served; default 7
}

// Label is one answered column, banded where bands are given.
type Label struct {
	Column string `yaml:"column" json:"column"`
	Bands  []Band `yaml:"bands,omitempty" json:"bands,omitempty"`
}

// Band names the values below an upper bound (numbers: exclusive; the last
// band has none) or, for strings, those with a prefix.
type Band struct {
	Name   string `yaml:"name" json:"name"`
	Below  string `yaml:"below,omitempty" json:"below,omitempty"`
	Prefix string `yaml:"prefix,omitempty" json:"prefix,omitempty"`
}

// Release is a product's release rule: what a person reviewed.
type Release struct {
	Columns      []string `yaml:"columns" json:"columns"`                               // all columns that reach an answer or an input
	MaxLabelBits int      `yaml:"maxLabelBits,omitempty" json:"maxLabelBits,omitempty"` // label: ⌈log2 of distinct labels⌉ may not pass this
	MaxShare     Share    `yaml:"maxShare" json:"maxShare"`                             //
}

// Share is the largest part of the population that one enterprise may look up
// in one period.
type Share struct {
	Fraction string `yaml:"fraction" json:"fraction"` // decimal, 0 < f ≤ 1
	Per      string `yaml:"per" json:"per"`           // day, month, term
}

// Assessment is a security risk assessment.
type Assessment struct {
	Digest  string `yaml:"digest" json:"digest"`   // "sha256:" + hex
	Expires Date   `yaml:"expires" json:"expires"` // last day
}

// Enterprise is a registered enterprise. Its id is its unified social credit
// code 统一社会信用代码.
type Enterprise struct {
	Meta         `yaml:",inline"`
	SigningKey   string `yaml:"signingKey" json:"signingKey"`     // "ed25519:" + base64
	Standing     string `yaml:"standing" json:"standing"`         // good or suspended 失信
	Jurisdiction string `yaml:"jurisdiction" json:"jurisdiction"` // ISO 3166-1 alpha-2
}

// Grant permits an enterprise the use of products for purposes.
type Grant struct {
	Meta       `yaml:",inline"`
	Enterprise string    `yaml:"enterprise" json:"enterprise"`
	Products   []string  `yaml:"products" json:"products"`
	Purposes   []Purpose `yaml:"purposes" json:"purposes"`
	Conditions Text      `yaml:"conditions,omitempty" json:"conditions,omitempty"` // demanded for free purposes
	Evidence   string    `yaml:"evidence,omitempty" json:"evidence,omitempty"`     // digest; demanded for free purposes
	Basis      Text      `yaml:"basis,omitempty" json:"basis,omitempty"`           // legal basis; demanded for free purposes
	From       Date      `yaml:"from" json:"from"`
	Until      Date      `yaml:"until" json:"until"`
	Quotas     []Quota   `yaml:"quotas" json:"quotas"`
	Contract   string    `yaml:"contract" json:"contract"` // digest of the signed contract
}

// Quota bounds a grant's use of each of its products.
type Quota struct {
	Unit  string `yaml:"unit" json:"unit"`   // subjects or calls
	Per   string `yaml:"per" json:"per"`     // day, month, term
	Limit int64  `yaml:"limit" json:"limit"` //
}

// Ceiling is the highest price of a product. Signed by the authoriser.
type Ceiling struct {
	Meta     `yaml:",inline"`
	Product  string `yaml:"product" json:"product"`
	Basis    string `yaml:"basis" json:"basis"` // per-subject, per-call (others later)
	Amount   string `yaml:"amount" json:"amount"`
	From     Date   `yaml:"from" json:"from"`
	Document string `yaml:"document" json:"document"` // digest of the decision
}

// Tariff is the operator's price of a product. It never names an enterprise.
type Tariff struct {
	Meta    `yaml:",inline"`
	Product string `yaml:"product" json:"product"`
	Basis   string `yaml:"basis" json:"basis"`
	Price   string `yaml:"price" json:"price"` // yuan a unit
	Trial   bool   `yaml:"trial" json:"trial"` // 试行
	From    Date   `yaml:"from" json:"from"`
	Until   Date   `yaml:"until,omitempty" json:"until,omitempty"` // last day; empty: until the next
}

// NegativeList names columns and categories that no product may use.
type NegativeList struct {
	Meta       `yaml:",inline"`
	Columns    []string `yaml:"columns,omitempty" json:"columns,omitempty"`       // "resource.column" or "*.column"
	Categories []string `yaml:"categories,omitempty" json:"categories,omitempty"` //
}
