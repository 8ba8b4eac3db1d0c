package transport

import "time"

// deadlineTimer is the one timer of a connection for the deadlines of its
// streams, set to the earliest that may still be open. A stream that ends
// leaves it as it is: it then fires, finds nothing due and is set anew.
// Guarded by conn.mu.
type deadlineTimer struct {
	c     *conn
	timer *time.Timer
	at    time.Time
}

// addLocked sees to it that the timer fires at t or before.
func (d *deadlineTimer) addLocked(t time.Time) {
	if !d.at.IsZero() && !t.Before(d.at) {
		return
	}
	d.at = t
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(t), d.fire)
		return
	}
	d.timer.Reset(time.Until(t))
}

func (d *deadlineTimer) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// fire ends the streams whose deadline has passed.
func (d *deadlineTimer) fire() {
	c := d.c
	var due []*stream
	c.mu.Lock()
	if c.life == lifeClosed {
		c.mu.Unlock()
		return
	}
	now := time.Now()
	d.at = time.Time{}
	var next time.Time
	for _, st := range c.streamsLocked() {
		t := st.server.deadline
		switch {
		case t.IsZero() || st.server.expired:
		case !now.Before(t):
			st.server.expired = true
			due = append(due, st)
		case next.IsZero() || t.Before(next):
			next = t
		}
	}
	if !next.IsZero() {
		d.addLocked(next)
	}
	c.mu.Unlock()
	for _, st := range due {
		st.server.expire()
	}
}
