package control

import (
	"errors"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// A message that only the other side takes is no unknown one.
func TestUnexpected(t *testing.T) {
	for typ, want := range map[wire.Type]wire.Rule{
		TypeRegister: wire.ErrWrongWay, TypeViolation: wire.ErrWrongWay, TypeStuck: wire.ErrWrongWay,
		TypeStuck + 1: wire.ErrType, wire.FirstControl - 1: wire.ErrType,
	} {
		if err := Unexpected(typ); !errors.Is(err, want) {
			t.Errorf("type 0x%02X: %v", uint8(typ), err)
		}
	}
}
