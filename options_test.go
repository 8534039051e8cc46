package ringdht

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/status"
)

type namelessCodec struct{ Codec }

func (namelessCodec) Name() string { return "" }

// Every mistake names its option.
func TestOptionsAreValidated(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  NodeOption
	}{
		{"WithCodec", WithCodec(nil)},
		{"WithCodec", WithCodec(namelessCodec{})},
		{"WithTransport", WithTransport(nil)},
		{"WithLogger", WithLogger(nil)},
		{"WithRing", WithRing(strings.Repeat("x", 256))},
		{"WithHandshakeTimeout", WithHandshakeTimeout(0)},
		{"WithListen", WithListen("nonsense")},
		{"WithAdvertise", WithAdvertise(":5")},
		{"WithAdvertise", WithAdvertise("host:0")},
		{"WithAdvertise", WithAdvertise("[::1%\x1bc]:5")},
		{"WithName", WithName("two words")},
		{"WithTags", WithTags(map[string]string{"": "x"})},
		{"SendBuffer", WithLimits(status.Limits{SendBuffer: -1})},
		{"ReceiveBuffer", WithLimits(status.Limits{ReceiveBuffer: 1})},
		{"HandlerBacklog", WithLimits(status.Limits{HandlerBacklog: 1})},
		{"LinkQueue", WithLimits(status.Limits{LinkQueue: 1})},
		{"Handlers", WithLimits(status.Limits{Handlers: -1})},
		{"Streams", WithLimits(status.Limits{Streams: -1})},
	} {
		err := NewNode(c.opt).Join(t.Context(), "localhost:1")
		if err == nil || !strings.Contains(err.Error(), c.name+":") && !strings.Contains(err.Error(), c.name+" is") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, c := range []struct {
		name string
		opt  RegistryOption
	}{
		{"WithBits", WithBits(0)},
		{"WithBits", WithBits(65)},
		{"WithMaxPayload", WithMaxPayload(3)},
		{"WithMaxPayload", WithMaxPayload(8<<20 + 1)},
		{"WithLease", WithLease(time.Millisecond)},
		{"WithCodec", WithCodec(nil)},
		{"WithSelfSetup", WithSelfSetup(-1)},
		{"WithSelfSetup", WithSelfSetup(0, Plan(9))},
		{"WithState", WithState("")},
		{"WithSecurity", WithSecurity(time.Second)},
		{"WithSecurity", WithSecurity(-time.Hour)},
	} {
		if _, err := NewRegistry(c.opt); err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := NewRegistry(WithBits(64), WithLogger(slog.Default()), WithRing("")); err != nil {
		t.Error(err)
	}
}
