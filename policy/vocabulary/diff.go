package vocabulary

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Change is one field that differs between two versions of a document. A field
// that is not there is "": no field of a document is empty text.
type Change struct{ Path, Old, New string }

// Diff lists what changes from one version to the next, in the order of a
// document's fields. Lists are compared item by item. A nil document has no
// fields.
func Diff(old, new Document) []Change {
	before, after := flatten(old), flatten(new)
	var changes []Change
	for _, path := range after.paths {
		if was, now := before.values[path], after.values[path]; was != now {
			changes = append(changes, Change{path, was, now})
		}
	}
	for _, path := range before.paths {
		if _, stays := after.values[path]; !stays {
			changes = append(changes, Change{path, before.values[path], ""})
		}
	}
	return changes
}

// flat is a document's scalars by path.
type flat struct {
	paths  []string
	values map[string]string
}

func flatten(doc Document) *flat {
	f := &flat{values: map[string]string{}}
	if v := reflect.ValueOf(doc); doc != nil && !v.IsNil() {
		f.value("", v)
	}
	return f
}

func (f *flat) value(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			f.value(path, v.Elem())
		}
	case reflect.Struct:
		schema := schemaOf(v.Type())
		for _, name := range schema.names {
			spec := schema.fields[name]
			if field := v.FieldByIndex(spec.index); !spec.optional || !field.IsZero() {
				f.value(join(path, name), field)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			f.value(index(path, i), v.Index(i))
		}
	case reflect.Map:
		table := map[string]reflect.Value{}
		for key, value := range v.Seq2() {
			table[key.String()] = value
		}
		for _, key := range slices.Sorted(maps.Keys(table)) {
			f.value(join(path, key), table[key])
		}
	default:
		f.paths = append(f.paths, path)
		f.values[path] = fmt.Sprint(v.Interface())
	}
}
