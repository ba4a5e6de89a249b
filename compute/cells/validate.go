package cells

import (
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	productPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)
	namePattern    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	digestPattern  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	binPattern     = regexp.MustCompile(`^[!#-$&-\[\]-~]{1,64}$`) // printable, without space " % \
)

const (
	maxOrdinal = 1 << 30 // epochs and versions travel as int32

	// statusColumn is the column of statuses in delivered files: no axis, level or
	// measure is called so.
	statusColumn = "status"
	lowSuffix    = ".low" // of the columns of an interval's ends
	highSuffix   = ".high"
)

// title is the measure's column in delivered files.
func (m *Measure) title() string {
	if m.Bin == "" {
		return m.Name
	}
	return m.Name + " " + m.Bin
}

// validator checks one descriptor; the first fault ends it.
type validator struct {
	*Descriptor
	names map[string]bool // of axes, levels and measures
}

// Validate checks every range and every relation between fields.
func (d *Descriptor) Validate() error {
	v := validator{Descriptor: d, names: map[string]bool{statusColumn: true}}
	for _, check := range []func() error{v.head, v.axes, v.measures, v.groups, v.regime, v.weights} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func wrong(field string, got any, expected string) error {
	return fmt.Errorf("%w: %s is %v, expected %s", ErrDescriptor, field, got, expected)
}

func (v *validator) head() error {
	d := v.Descriptor
	switch {
	case d.V != DescriptorVersion:
		return wrong("v", d.V, fmt.Sprint(DescriptorVersion))
	case !productPattern.MatchString(d.Product):
		return wrong("product", fmt.Sprintf("%.64q", d.Product), "a product id")
	case !digestPattern.MatchString(d.Document):
		return wrong("document", fmt.Sprintf("%.80q", d.Document), "sha256: and 64 hexadecimal digits")
	case d.Epoch < 1 || d.Epoch > maxOrdinal:
		return wrong("epoch", d.Epoch, "1 or more")
	case d.Version < 1 || d.Version > maxOrdinal:
		return wrong("version", d.Version, "1 or more")
	case !digestPattern.MatchString(d.Digest):
		return wrong("digest", fmt.Sprintf("%.80q", d.Digest), "sha256: and 64 hexadecimal digits")
	}
	for _, list := range []struct {
		field       string
		n, atLeast1 int
	}{{"axes", len(d.Axes), MaxAxes}, {"groups", len(d.Groups), MaxGroups}, {"measures", len(d.Measures), MaxMeasures}} {
		if list.n < 1 || list.n > list.atLeast1 {
			return wrong(list.field, fmt.Sprintf("a list of %d", list.n), fmt.Sprintf("1 to %d", list.atLeast1))
		}
	}
	return nil
}

// name takes a name that nothing else has.
func (v *validator) name(field, name string) error {
	if !namePattern.MatchString(name) {
		return wrong(field, fmt.Sprintf("%.64q", name), "a name of lower-case letters, digits and _")
	}
	if v.names[name] {
		return wrong(field, fmt.Sprintf("%q", name), "a name that nothing else has")
	}
	v.names[name] = true
	return nil
}

func (v *validator) axes() error {
	for i, a := range v.Axes {
		field := fmt.Sprintf("axes[%d]", i)
		if err := v.name(field+".name", a.Name); err != nil {
			return err
		}
		if !namePattern.MatchString(a.Column) {
			return wrong(field+".column", fmt.Sprintf("%.64q", a.Column), "a column")
		}
		if err := checkLabels(field+".codes", a.Codes); err != nil {
			return err
		}
		if len(a.Levels) > MaxLevels {
			return wrong(field+".levels", fmt.Sprintf("a list of %d", len(a.Levels)), fmt.Sprintf("at most %d", MaxLevels))
		}
		for j, l := range a.Levels {
			if err := v.level(fmt.Sprintf("%s.levels[%d]", field, j), l, len(a.Codes)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *validator) level(field string, l Level, codes int) error {
	if err := v.name(field+".name", l.Name); err != nil {
		return err
	}
	if err := checkLabels(field+".groups", l.Groups); err != nil {
		return err
	}
	if len(l.Of) != codes {
		return wrong(field+".of", fmt.Sprintf("a list of %d", len(l.Of)), fmt.Sprintf("one for each of %d codes", codes))
	}
	used := make([]bool, len(l.Groups))
	for _, of := range l.Of {
		if of < 0 || of >= len(used) {
			return wrong(field+".of", of, fmt.Sprintf("0 to %d", len(used)-1))
		}
		used[of] = true
	}
	if empty := slices.Index(used, false); empty >= 0 {
		return fmt.Errorf("%w: %s: no code is in group %q", ErrDescriptor, field, l.Groups[empty])
	}
	return nil
}

func checkLabels(field string, labels Labels) error {
	if len(labels) < 1 || len(labels) > MaxCells {
		return wrong(field, fmt.Sprintf("a list of %d", len(labels)), fmt.Sprintf("1 to %d", MaxCells))
	}
	seen := make(map[string]bool, len(labels))
	for _, l := range labels {
		if len(l) > MaxLabel || !utf8.ValidString(l) || strings.ContainsFunc(l, unicode.IsControl) {
			return wrong(field, fmt.Sprintf("%.64q", l), fmt.Sprintf("text of at most %d bytes without control characters", MaxLabel))
		}
		if seen[l] {
			return fmt.Errorf("%w: %s has %.64q twice", ErrDescriptor, field, l)
		}
		seen[l] = true
	}
	return nil
}

func (v *validator) measures() error {
	bins := map[[2]string]bool{}
	for i, m := range v.Measures {
		field := fmt.Sprintf("measures[%d]", i)
		nextBin := i > 0 && m.Is == IsHistogram && v.Measures[i-1].Name == m.Name
		if nextBin {
			if first := v.Measures[i-1]; first.Is != m.Is || first.Column != m.Column {
				return wrong(field, fmt.Sprintf("%q", m.Name), "another bin of the same histogram")
			}
		} else if err := v.name(field+".name", m.Name); err != nil {
			return err
		}
		if bins[[2]string{m.Name, m.Bin}] {
			return fmt.Errorf("%w: %s: the bin %q of %s is there twice", ErrDescriptor, field, m.Bin, m.Name)
		}
		bins[[2]string{m.Name, m.Bin}] = true
		if err := m.validate(field); err != nil {
			return err
		}
	}
	return nil
}

func (m *Measure) validate(field string) error {
	kinds := []string{IsCount, IsSum, IsMean, IsVariance, IsHistogram, IsMin, IsMax}
	switch {
	case !slices.Contains(kinds, m.Is):
		return wrong(field+".is", fmt.Sprintf("%.32q", m.Is), strings.Join(kinds, ", "))
	case m.Column == "" && m.Is != IsCount || m.Column != "" && !namePattern.MatchString(m.Column):
		return wrong(field+".column", fmt.Sprintf("%.64q", m.Column), "a column")
	case m.Is == IsHistogram && (!binPattern.MatchString(m.Bin) || strings.HasSuffix(m.Bin, lowSuffix) || strings.HasSuffix(m.Bin, highSuffix)):
		return wrong(field+".bin", fmt.Sprintf("%.64q", m.Bin), "the label of a bin")
	case m.Is != IsHistogram && m.Bin != "":
		return wrong(field+".bin", fmt.Sprintf("%.64q", m.Bin), "none: it is of a "+m.Is)
	case m.Decimals < 0 || m.Decimals > MaxDecimals:
		return wrong(field+".decimals", m.Decimals, fmt.Sprintf("0 to %d", MaxDecimals))
	case m.Decimals != 0 && (m.Is == IsCount || m.Is == IsHistogram):
		return wrong(field+".decimals", m.Decimals, "0 for what is counted")
	case m.Round < 1 || m.Round > MaxValue:
		return wrong(field+".round", m.Round, "1 or more")
	case m.Low != nil && !inRange(*m.Low):
		return wrong(field+".low", *m.Low, "an integer of at most 53 bits")
	case m.High != nil && !inRange(*m.High):
		return wrong(field+".high", *m.High, "an integer of at most 53 bits")
	case m.Low != nil && m.High != nil && *m.Low > *m.High:
		return wrong(field+".low", *m.Low, fmt.Sprintf("at most high, %d", *m.High))
	}
	return m.validateScale(field)
}

func (m *Measure) validateScale(field string) error {
	switch {
	case m.Scale < 0 || m.Scale > MaxValue>>20:
		return wrong(field+".scale", m.Scale, fmt.Sprintf("0 to %d", MaxValue>>20))
	case !inRange(m.Offset):
		return wrong(field+".offset", m.Offset, "an integer of at most 53 bits")
	case m.Scale == 0 && m.Offset != 0:
		return wrong(field+".offset", m.Offset, "0 where there is no scale")
	case m.Scale != 0 && m.Round%m.Scale != 0:
		return wrong(field+".scale", m.Scale, fmt.Sprintf("a divisor of round, %d", m.Round))
	case m.Scale != 0 && m.Offset%m.Round != 0:
		return wrong(field+".offset", m.Offset, fmt.Sprintf("a multiple of round, %d", m.Round))
	}
	if m.Scale == 0 {
		return nil
	}
	if m.Low != nil && floorTo(*m.Low, m.Round) < m.Offset {
		return wrong(field+".low", *m.Low, fmt.Sprintf("at least offset, %d: cells for weights are not negative", m.Offset))
	}
	if top := m.top(); m.High != nil && (top < 1 || top > maxWeighed) {
		return wrong(field+".high", *m.High, "one that scale and offset bring into 1 to 2^20")
	}
	return nil
}

func inRange(v int64) bool { return v >= -MaxValue && v <= MaxValue }

func (v *validator) groups() error {
	total, seen := 0, map[string]bool{}
	for i, g := range v.Groups {
		field := fmt.Sprintf("groups[%d]", i)
		grid, err := v.Descriptor.grid(g.By)
		if err != nil {
			return fmt.Errorf("%w: %s.by: %w", ErrDescriptor, field, err)
		}
		if !slices.IsSortedFunc(grid, func(a, b side) int { return a.axis - b.axis }) {
			return wrong(field+".by", g.By, "the order of axes")
		}
		if i == 0 && (len(grid) != len(v.Axes) || slices.ContainsFunc(grid, func(s side) bool { return s.level >= 0 })) {
			return wrong(field+".by", g.By, "all axes: the first group is the finest")
		}
		if key := strings.Join(g.By, ","); seen[key] {
			return wrong(field+".by", g.By, "a grouping that is not there yet")
		} else {
			seen[key] = true
		}
		n, ok := count(grid)
		if total += n; !ok || total > MaxCells {
			return fmt.Errorf("%w: %s brings the cells above %d", ErrDescriptor, field, MaxCells)
		}
		if err := v.groupMeasures(field, g); err != nil {
			return err
		}
	}
	if v.Cells != total {
		return wrong("cells", v.Cells, fmt.Sprintf("%d, those of all groups", total))
	}
	return nil
}

func (v *validator) groupMeasures(field string, g Group) error {
	if len(g.Measures) == 0 {
		return wrong(field+".measures", "empty", "one or more")
	}
	last := -1
	for _, m := range g.Measures {
		if m <= last || m >= len(v.Measures) {
			return wrong(field+".measures", g.Measures, fmt.Sprintf("ascending indices below %d", len(v.Measures)))
		}
		last = m
	}
	if v.Regime != RegimePrivacy {
		if g.HalfWidths != nil {
			return wrong(field+".halfWidths", "there", "none without noise")
		}
		return nil
	}
	if len(g.HalfWidths) != len(g.Measures) {
		return wrong(field+".halfWidths", fmt.Sprintf("a list of %d", len(g.HalfWidths)), fmt.Sprintf("one for each of %d measures", len(g.Measures)))
	}
	for _, h := range g.HalfWidths {
		if h < 0 || h > MaxValue {
			return wrong(field+".halfWidths", h, "0 to 2^53-1")
		}
	}
	return nil
}

func (v *validator) regime() error {
	switch v.Regime {
	case RegimeDisclosure:
		if v.Rho != 0 || v.Mechanism != "" {
			return wrong("rho and mechanism", "there", "none without noise")
		}
	case RegimePrivacy:
		if v.Rho < 1 || v.Rho > MaxValue {
			return wrong("rho", v.Rho, "1 millionth or more")
		}
		if v.Mechanism != MechanismGaussian && v.Mechanism != MechanismLaplace {
			return wrong("mechanism", fmt.Sprintf("%.32q", v.Mechanism), "gaussian or laplace")
		}
	default:
		return wrong("regime", fmt.Sprintf("%.32q", v.Regime), "disclosure or privacy")
	}
	marked := false
	for i, m := range v.Measures {
		marked = marked || m.Round > 1
		if v.Regime == RegimePrivacy && (m.Is == IsMin || m.Is == IsMax) {
			return wrong(fmt.Sprintf("measures[%d].is", i), m.Is, "one that noise protects")
		}
	}
	if v.Fingerprint && !marked {
		return fmt.Errorf("%w: fingerprint needs a measure with round of 2 or more", ErrDescriptor)
	}
	return nil
}

func (v *validator) weights() error {
	if v.Weights == nil {
		return nil
	}
	grid, _ := v.Descriptor.grid(v.Groups[0].By)
	if n, _ := count(grid); v.Weights.Cells > n {
		return wrong("weights.cells", v.Weights.Cells, fmt.Sprintf("at most %d, the finest cells", n))
	}
	p, err := v.WeightParams(v.Weights.Cells, v.Weighable())
	if err != nil {
		return fmt.Errorf("%w: weights: %w", ErrDescriptor, err)
	}
	if p != *v.Weights {
		return wrong("weights", "another set", "the parameters that follow from measures and cells")
	}
	return nil
}

// side is one side of a grouping's grid: an axis, or a level of it (else −1).
type side struct {
	name        string
	axis, level int
	labels      Labels
}

// grid gives the sides of a grouping, in its own order, and refuses unknown names
// and two names of one axis.
func (d *Descriptor) grid(by []string) ([]side, error) {
	out := make([]side, 0, len(by))
	for _, name := range by {
		s, ok := d.side(name)
		if !ok {
			return nil, &QueryError{Problem: UnknownName, Field: "by", Name: name, Published: listed(d.names())}
		}
		if slices.ContainsFunc(out, func(o side) bool { return o.axis == s.axis }) {
			return nil, &QueryError{Problem: Twice, Field: "by", Name: name}
		}
		out = append(out, s)
	}
	return out, nil
}

// side finds an axis or level by name.
func (d *Descriptor) side(name string) (side, bool) {
	for i, a := range d.Axes {
		if a.Name == name {
			return side{name, i, -1, a.Codes}, true
		}
		for j, l := range a.Levels {
			if l.Name == name {
				return side{name, i, j, l.Groups}, true
			}
		}
	}
	return side{}, false
}

// names of all axes and levels.
func (d *Descriptor) names() (out []string) {
	for _, a := range d.Axes {
		out = append(out, a.Name)
		for _, l := range a.Levels {
			out = append(out, l.Name)
		}
	}
	return out
}

// count multiplies the sides; false beyond MaxCells.
func count(grid []side) (int, bool) {
	n := uint64(1)
	for _, s := range grid {
		high, low := bits.Mul64(n, uint64(len(s.labels)))
		if high != 0 || low > MaxCells {
			return 0, false
		}
		n = low
	}
	return int(n), true
}
