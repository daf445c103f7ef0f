package lms

import (
	"fmt"
	"net/http"

	"vigil"
	"vigil/lti/ltitest"
)

// simulation is the run of the button "Add ten simulated students".
type simulation struct {
	Running bool   `json:"running"`
	Added   int    `json:"added"`
	Error   string `json:"error,omitempty"`
}

// atOnce is how many simulated students one press adds.
const atOnce = 10

var (
	givenNames  = []string{"Noah", "Sofia", "Kenji", "Fatima", "Lucas", "Priya", "Emil", "Zainab", "Tomas", "Hana", "Oliver", "Nadia", "Rafael", "Mei", "Jonas", "Aisha", "Viktor", "Lucia", "Samuel", "Freya"}
	familyNames = []string{"Berg", "Nakamura", "Rahman", "Silva", "Novak", "Mensah", "Larsen", "Patel", "Costa", "Fischer", "Adeyemi", "Kim", "Rossi", "Wijaya", "Dubois", "Hassan", "Horvat"}
)

// NewStudents enrols n made-up students, for AddSimulated.
func (l *LMS) NewStudents(n int) []ltitest.User {
	have := len(l.p.Users())
	out := make([]ltitest.User, 0, n)
	for i := range n {
		k := have + i
		out = append(out, l.p.AddUser(ltitest.User{
			Given: givenNames[k%len(givenNames)], Family: familyNames[(k+k/len(givenNames))%len(familyNames)],
			Email: fmt.Sprintf("student%d@lms.example", k), Role: ltitest.Learner, Simulated: true,
		}))
	}
	return out
}

// postSimulate starts AddSimulated, once at a time; the start page shows how it goes.
func (l *LMS) postSimulate(w http.ResponseWriter, r *http.Request) {
	if l.cfg.AddSimulated == nil {
		l.fail(w, r, vigil.Errorf(vigil.CodeNotFound, "This demo has no simulated students."))
		return
	}
	l.mu.Lock()
	start := !l.sim.Running && l.ctx.Err() == nil
	if start {
		l.sim.Running, l.sim.Error = true, ""
		l.work.Add(1)
	}
	l.mu.Unlock()
	if start {
		go func() {
			defer l.work.Done()
			err := l.cfg.AddSimulated(l.ctx, atOnce)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.sim.Running = false
			if err != nil {
				l.sim.Error = "The simulated students could not be added. Is Vigil running?"
				l.log.Error("add simulated students", "error", err)
				return
			}
			l.sim.Added += atOnce
		}()
	}
	http.Redirect(w, r, "/#simulated", http.StatusSeeOther)
}

// getSimulate tells the start page how it goes.
func (l *LMS) getSimulate(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	s := l.sim
	l.mu.Unlock()
	writeJSON(w, http.StatusOK, s)
}
