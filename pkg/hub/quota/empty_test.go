package quota

import (
	"reflect"
	"testing"
)

// TestEmptyRecords: whatever a record holds, it is not empty; a field that is added later counts too.
func TestEmptyRecords(t *testing.T) {
	t.Parallel()
	if !(Record{Subject: "alice"}).IsEmpty() {
		t.Error("a name alone is something")
	}
	for field := range reflect.TypeFor[Record]().Fields() {
		if field.Type.Kind() != reflect.Map {
			continue
		}
		r := Record{Subject: "alice"}
		m := reflect.MakeMap(field.Type)
		m.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(field.Type.Elem()))
		reflect.ValueOf(&r).Elem().FieldByIndex(field.Index).Set(m)
		if r.IsEmpty() {
			t.Errorf("a record with %s is empty", field.Name)
		}
	}
}
