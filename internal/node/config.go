package node

import (
	"cmp"
	"fmt"
	"net"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
)

// Prepare checks the options, fills in the default limits, and puts a queue of records bytes
// before the log. Its errors name the option.
func (c *Config) Prepare(records int) error {
	if err := c.Config.Prepare(records); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("WithListen: %q is not host:port: %w", c.Listen, err)
	}
	if c.Advertise != "" {
		addr, err := dial.HostPort(c.Advertise)
		if err != nil {
			return fmt.Errorf("WithAdvertise: %w", err)
		}
		c.Advertise = addr
	}
	if err := control.CheckName(c.Name); err != nil {
		return fmt.Errorf("WithName: %w", err)
	}
	if err := control.CheckInfo("", control.Tags(c.Tags), nil); err != nil {
		return fmt.Errorf("WithTags: %w", err)
	}
	l := &c.Limits
	for _, b := range []struct {
		name         string
		value        *int
		initial, min int
	}{
		{"SendBuffer", &l.SendBuffer, 8 << 20, 4 << 10},
		{"ReceiveBuffer", &l.ReceiveBuffer, 8 << 20, 4 << 10},
		{"HandlerBacklog", &l.HandlerBacklog, 16 << 20, 4 << 10},
		{"LinkQueue", &l.LinkQueue, 4 << 20, 16 << 10},
		{"Handlers", &l.Handlers, 256, 1},
		{"Streams", &l.Streams, 1 << 16, 1},
	} {
		*b.value = cmp.Or(*b.value, b.initial)
		if *b.value < b.min {
			return fmt.Errorf("WithLimits: %s is %d, it must be at least %d", b.name, *b.value, b.min)
		}
	}
	return nil
}
