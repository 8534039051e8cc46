package node

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/memnet"
)

// Only while a message is awaited is the registry silent, and each wait begins anew.
func TestSilenceIsOfAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		defer far.Close()
		conn := control.NewConn(near, nil, 1<<10)
		defer conn.Close()
		const lease = 3 * time.Second
		inc := &incarnation{self: control.Registered{Lease: lease.Milliseconds()}}
		inc.pace.Store(2)
		if again := inc.checkSilence(); again < lease {
			t.Errorf("before the first wait: %v", again)
		}
		inc.silence.begin(conn, time.Now(), membership.Missed{})
		time.Sleep(lease)
		if again := inc.checkSilence(); again != lease {
			t.Errorf("half of the timeout is left, not %v", again)
		}
		inc.silence.end()
		time.Sleep(time.Hour) // a message is handled
		inc.checkSilence()
		inc.silence.begin(conn, time.Now(), membership.Missed{})
		time.Sleep(2*lease - 1)
		if again := inc.checkSilence(); again != lease/64 {
			t.Errorf("it is to check again after %v", again)
		}
		time.Sleep(time.Nanosecond)
		inc.checkSilence()
		if _, _, err := conn.Recv(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}
