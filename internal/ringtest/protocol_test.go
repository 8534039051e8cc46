package ringtest_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// controlMessages lists the control messages by type.
var controlMessages = []struct {
	t wire.Type
	v any
}{
	{control.TypeRegister, control.Register{}},
	{control.TypeRegistered, control.Registered{}},
	{control.TypeRefused, control.Refused{}},
	{control.TypeDeregister, control.Deregister{}},
	{control.TypeDeregistered, control.Deregistered{}},
	{control.TypeManifest, control.Manifest{}},
	{control.TypeLinked, control.Linked{}},
	{control.TypeReady, control.Ready{}},
	{control.TypeBeat, control.Beat{}},
	{control.TypeBeatAnswer, control.BeatAnswer{}},
	{control.TypeTask, control.Task{}},
	{control.TypeFinished, control.Finished{}},
	{control.TypeCollect, control.Collect{}},
	{control.TypeSummary, control.Summary{}},
	{control.TypeExplain, control.Explain{}},
	{control.TypePairs, control.Pairs{}},
	{control.TypeTrace, control.Trace{}},
	{control.TypeTraced, control.Traced{}},
	{control.TypeBye, control.Bye{}},
	{control.TypeUpdate, control.Update{}},
	{control.TypeAnnounce, control.Announce{}},
	{control.TypeTrouble, control.Trouble{}},
	{control.TypePing, control.Ping{}},
	{control.TypeAdmission, control.Admission{}},
	{control.TypeTrust, control.Trust{}},
	{control.TypeViolation, control.Violation{}},
	{control.TypeStuck, control.Stuck{}},
	{control.TypeNote, control.Note{}},
}

// The tables of PROTOCOL.md list the fields that are sent, in the order of the code.
func TestProtocolListsTheMessages(t *testing.T) {
	text := protocolText(t)
	for _, m := range controlMessages {
		typ := reflect.TypeOf(m.v)
		var fields []string
		for f := range typ.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, fmt.Sprintf("`%s` %s", name, fieldKind(f.Type)))
		}
		list := "none"
		if len(fields) > 0 {
			list = strings.Join(fields, ", ")
		}
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| 0x%02X \| %s \| (?:N|R|N, R) \| (.*?) \|`, uint8(m.t), typ.Name())).FindStringSubmatch(text)
		switch {
		case row == nil:
			t.Errorf("PROTOCOL.md has no row 0x%02X %s", uint8(m.t), typ.Name())
		case row[1] != list:
			t.Errorf("PROTOCOL.md: %s has\n%s, but is sent with\n%s", typ.Name(), row[1], list)
		}
	}
	for _, v := range []any{ring.Peer{}, ring.Ref{}, control.Over{}, control.Slot{}, control.Detour{}, control.Pair{}, control.Hop{}} {
		typ := reflect.TypeOf(v)
		var fields []string
		for field := range typ.Fields() {
			fields = append(fields, field.Tag.Get("json")+" "+fieldKind(field.Type))
		}
		if want := "{" + strings.Join(fields, ", ") + "}"; !regexp.MustCompile("`" + strings.ToLower(typ.Name()) + "`\\s(is\\s)?`" + regexp.QuoteMeta(want) + "`").MatchString(text) {
			t.Errorf("PROTOCOL.md does not say that a `%s` is `%s`", strings.ToLower(typ.Name()), want)
		}
	}
}

// fieldKind returns the name of a type in the tables.
func fieldKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int64:
		return "i"
	case reflect.Uint8, reflect.Uint64:
		return "u"
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "b"
	case reflect.Slice:
		return "[" + fieldKind(t.Elem()) + "]"
	}
	return strings.ToLower(t.Name())
}

func protocolText(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
