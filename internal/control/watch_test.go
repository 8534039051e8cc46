package control

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	for name, c := range map[string]struct {
		before, during func(*Conn) // at the other end
		gone           bool
	}{
		"nothing comes":           {},
		"the end comes":           {during: (*Conn).Close, gone: true},
		"a message comes":         {during: func(a *Conn) { a.Send(TypeReady, Ready{Epoch: 7}) }},
		"a message came before":   {before: func(a *Conn) { a.Send(TypeReady, Ready{Epoch: 7}) }},
		"and the end behind that": {before: func(a *Conn) { a.Send(TypeReady, Ready{Epoch: 7}); a.Shutdown(time.Second) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, _ := pair(1 << 20)
				defer a.Close()
				defer b.Close()
				a.Send(TypeReady, Ready{Epoch: 1})
				if c.before != nil {
					c.before(a)
				}
				synctest.Wait()
				if _, _, err := b.Recv(); err != nil {
					t.Fatal(err)
				}
				gone := false
				stop := b.Watch(func() { gone = true })
				time.Sleep(time.Minute) // it has no deadline
				if c.during != nil {
					c.during(a)
				}
				synctest.Wait()
				if gone != c.gone {
					t.Errorf("gone: %v", gone)
				}
				stop()
				if c.gone {
					if _, _, err := b.Recv(); err != io.EOF {
						t.Errorf("after the end: %v", err)
					}
					return
				}
				if c.before == nil && c.during == nil { // it goes on as before
					a.Send(TypeReady, Ready{Epoch: 7})
				}
				var m Ready
				_, body, err := b.Recv()
				if err == nil {
					err = b.Decode(body, &m)
				}
				if err != nil || m.Epoch != 7 {
					t.Errorf("the next message: %v %v", m, err)
				}
				a.Close()
				if _, _, err := b.Recv(); err != io.EOF {
					t.Errorf("then the end: %v", err)
				}
			})
		})
	}
}
