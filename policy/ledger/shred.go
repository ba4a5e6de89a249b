package ledger

import (
	"strconv"
	"strings"
)

// What can be shredded is named in one way, so that whoever folds the log knows
// what is gone:
//
//	column/RESOURCE/COLUMN   the column's data keys in every sealed version
//	epoch/PRODUCT/EPOCH      the epoch's OPRF key
const (
	shredColumn = "column/"
	shredEpoch  = "epoch/"
)

// ColumnObject names a resource's column as what is shredded.
func ColumnObject(resource, column string) string { return shredColumn + resource + "/" + column }

// EpochObject names a product's epoch as what is shredded.
func EpochObject(product string, epoch int) string {
	return shredEpoch + product + "/" + strconv.Itoa(epoch)
}

// Column is the column that was shredded, if one was.
func (b *Shred) Column() (resource, column string, ok bool) {
	rest, ok := strings.CutPrefix(b.Object, shredColumn)
	if !ok {
		return "", "", false
	}
	resource, column, ok = strings.Cut(rest, "/")
	return resource, column, ok && isID(resource) && isColumn(column)
}

// Epoch is the epoch that was shredded, if one was.
func (b *Shred) Epoch() (product string, epoch int, ok bool) {
	rest, ok := strings.CutPrefix(b.Object, shredEpoch)
	if !ok {
		return "", 0, false
	}
	product, number, _ := strings.Cut(rest, "/")
	epoch, err := strconv.Atoi(number)
	return product, epoch, err == nil && epoch >= 1 && epoch <= maxInt && isID(product) && strconv.Itoa(epoch) == number
}
