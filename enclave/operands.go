package enclave

import (
	"context"
	"iter"
	"path/filepath"
	"strings"

	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/release"
)

// operandEnds are the endings of operands' files: masked tables and released
// cells.
var operandEnds = []string{".tbl", ".cells"}

func isOperand(name string) bool {
	for _, end := range operandEnds {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// operandPath is where a version's operand lies.
func (d *Domain) operandPath(v world.Version) string {
	path := release.TablePath
	if v.Cells != nil {
		path = release.CellsPath
	}
	return path(filepath.Join(d.dir, tablesDir), v.Product, v.Epoch, v.Version)
}

// openOperand opens a version's operand as serving would, every digest checked,
// and closes it.
func (d *Domain) openOperand(ctx context.Context, v world.Version) error {
	if v.Cells != nil {
		c, err := release.OpenCells(ctx, d.ring, d.operandPath(v), v.Cells)
		if err == nil {
			c.Zero()
		}
		return err
	}
	t, err := release.OpenTable(ctx, d.ring, d.operandPath(v), v.Lookup)
	if err != nil {
		return err
	}
	return t.Close()
}

// kept yields the versions whose files are kept, and whether they are served. Not
// served any more are cells under disclosure control that something may still
// be published beside, over the same data: it is checked against them.
func (d *Domain) kept(s *world.Snapshot) iter.Seq2[world.Version, bool] {
	return func(yield func(world.Version, bool) bool) {
		for v := range s.All {
			_, served := s.Served(v.Product, v.Epoch, v.Version, d.clock())
			newest, _, _, _ := s.World.Import(v.Doc.Resource)
			_, _, gone := s.World.ShreddedOf(v.Doc)
			if (served || !gone && s.Tells(v, newest)) && !yield(v, served) {
				return
			}
		}
	}
}
