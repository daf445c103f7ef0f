// Package storage states what is kept and how it may be read: the contract that every
// backend fulfils. Package storagetest holds the conformance suite that says so.
//
// Rules that hold for every method:
//
//   - Errors are *vigil.Error. Unless a method says otherwise, a thing that is not there
//     is CodeNotFound and a backend that cannot do its work now (a full disk, a locked
//     database, a network fault) is CodeUnavailable; nothing was changed then, or it is
//     safe to call again.
//   - A method that has returned nil has stored what it was given, so that it survives
//     the death of the process and of the machine.
//   - All methods may be called at the same time from many goroutines and, where the
//     backend serves several nodes, from several nodes.
//   - Times and durations keep milliseconds, times in UTC; a zero time stays zero.
//   - What a caller wrote, it reads: a read that begins after a write returned sees it.
//     Package dynamo excepts its lists that cross sessions, and says which.
//   - What has expired (retention, Record.Expires) is not returned, whether or not it has
//     been removed yet.
//   - Retention is the exam's policy, judged when something is read. A session's age
//     counts from the last of Created, Changed and Presence.Heard; its incidents, gaps,
//     commands and deliveries live as long as it does. A signal's counts from Received, a
//     chat line's and an audit entry's from At; audit entries of no exam are kept for the
//     default. What must have an age and has none (a zero time there) is CodeInvalid.
//   - Lists come in pages: pass Page.After of the zero value first and then each next
//     until it is empty. No method reads more than its page. A next that is none of the
//     list's is CodeInvalid. A list of something that is not there is empty.
//   - Adding to something that is not there (a session of no exam, a gap of no session, a
//     deployment of no platform) is CodeNotFound where the backend can tell.
package storage

import (
	"context"
	"time"

	"vigil"
)

// MaxPage is the largest Page.Limit; a larger one or 0 counts as this.
const MaxPage = 500

// Page asks for part of a list.
type Page = vigil.Page

// Transition is one conditional change of a session, and what belongs to it.
type Transition = vigil.Transition

// Appended says what became of one signal.
type Appended = vigil.Appended

// What AppendSignals answers for each signal.
const (
	Stored   = vigil.Stored
	Repeated = vigil.Repeated
	Differs  = vigil.Differs
)

// Platforms keeps the registered platforms, their deployments and the invitations.
type Platforms interface {
	Platform(ctx context.Context, id string) (vigil.Platform, error)
	PlatformByClient(ctx context.Context, issuer, clientID string) (vigil.Platform, error)
	// Platforms returns all of them, by time of creation: there are few.
	Platforms(ctx context.Context) ([]vigil.Platform, error)
	// CreatePlatform is CodeExists if the id or (issuer, client id) is taken.
	CreatePlatform(ctx context.Context, p vigil.Platform) error
	// UpdatePlatform stores p with Version+1 if the stored version is p.Version, else CodeConflict.
	UpdatePlatform(ctx context.Context, p vigil.Platform) error
	// DeletePlatform removes the platform and its deployments and links. Exams and sessions stay.
	DeletePlatform(ctx context.Context, id string) error

	Deployment(ctx context.Context, platformID, id string) (vigil.Deployment, error)
	Deployments(ctx context.Context, platformID string) ([]vigil.Deployment, error)
	// SaveDeployment adds or replaces it.
	SaveDeployment(ctx context.Context, d vigil.Deployment) error

	CreateInvitation(ctx context.Context, i vigil.Invitation) error
	Invitation(ctx context.Context, hash string) (vigil.Invitation, error)
	// TryInvitation counts one more try in one step and returns the invitation with it.
	// Unknown, expired, spent or out of tries (vigil.MaxInvitationTries): CodeNotFound.
	TryInvitation(ctx context.Context, hash string, now time.Time) (vigil.Invitation, error)
	// SpendInvitation ends it for the platform that came of it; a second time is
	// CodeConflict. One that expired since it was tried can still be spent.
	SpendInvitation(ctx context.Context, hash, platformID string, now time.Time) error
}

// Keys keeps our own signing keys, sealed.
type Keys interface {
	// Keys returns all of one use, oldest first.
	Keys(ctx context.Context, use vigil.KeyUse) ([]vigil.Key, error)
	CreateKey(ctx context.Context, k vigil.Key) error // CodeExists if the id is taken
	// UpdateKey stores k with Version+1 if the stored version is k.Version, else CodeConflict.
	UpdateKey(ctx context.Context, k vigil.Key) error
	DeleteKey(ctx context.Context, id string) error
}

// Records keeps small values that expire. Times are the caller's: a record is gone when
// now reaches Expires; one whose Expires is zero stays.
type Records interface {
	// CreateRecord is CodeExists if one of that kind and key is there and has not
	// expired by now; of many callers at once exactly one succeeds.
	CreateRecord(ctx context.Context, r vigil.Record, now time.Time) error
	PutRecord(ctx context.Context, r vigil.Record) error // adds or replaces
	GetRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error)
	// TakeRecord removes and returns it in one step; of many callers exactly one gets it.
	TakeRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error)
	DeleteRecord(ctx context.Context, kind, key string) error // nothing there: nil
}

// Exams keeps exams and the links to them.
type Exams interface {
	Exam(ctx context.Context, id string) (vigil.Exam, error)
	CreateExam(ctx context.Context, e vigil.Exam) error
	// UpdateExam stores e with Version+1 if the stored version is e.Version, else CodeConflict.
	UpdateExam(ctx context.Context, e vigil.Exam) error
	// ExamsOfContext lists a course's exams, newest first, for the deep-linking page.
	ExamsOfContext(ctx context.Context, issuer, contextID string, page Page) (exams []vigil.Exam, next string, err error)

	Link(ctx context.Context, platformID, deploymentID, resourceLinkID string) (vigil.Link, error)
	// CreateLink is CodeExists if that resource link is tied already.
	CreateLink(ctx context.Context, l vigil.Link) error
	// MoveLinks ties every link of one platform to another and returns how many. Links
	// that the other has already stay with it. A registration anew often brings a new
	// deployment id (in Moodle always): where all links are of one deployment and the other
	// platform has exactly one, they become that one's; else each keeps its deployment id.
	MoveLinks(ctx context.Context, from, to string) (int, error)
}

// Sessions keeps the proctoring status of each student's attempt, from the first one on.
type Sessions interface {
	// CreateSession is CodeExists if the session's exam, user, attempt and generation, or
	// its id, are taken: of many at once exactly one succeeds. The presence and the
	// groups are stored as given, the tally begins at zero.
	CreateSession(ctx context.Context, s vigil.Session) error
	Session(ctx context.Context, id string) (vigil.Session, error)
	// SessionOfAttempt returns the newest generation.
	SessionOfAttempt(ctx context.Context, examID, userID string, attempt int) (vigil.Session, error)
	// SessionsOfExam lists all generations, in order of creation.
	SessionsOfExam(ctx context.Context, examID string, page Page) (sessions []vigil.Session, next string, err error)
	// Transition is CodeConflict if the stored version is not From, also when the session
	// itself does not change, or if a gap's is not the given one. A repeated command is
	// CodeExists whatever the versions. A gap that is to change and is not there is
	// CodeNotFound; a delivery or a new gap that is there is CodeExists. After an error nothing
	// of it is stored. Of the session all is written but its names (id, exam, user, attempt,
	// generation, previous), Created, the groups with their version, Presence and Tally. What
	// vigil.Transition.Validate refuses is CodeInvalid.
	Transition(ctx context.Context, t Transition) error
	// SetPresence changes the presence unless the stored one has a higher epoch, or the same
	// one and a later Since (CodeConflict): a write that the store carries out after its
	// caller gave up must not undo a newer one. The session's version stays.
	SetPresence(ctx context.Context, sessionID string, p vigil.Presence) error
	// NextEpoch counts the session's connections and returns a number that is higher than
	// any that it returned and any that SetPresence stored for the session.
	NextEpoch(ctx context.Context, sessionID string) (int64, error)
	// Connected lists the sessions whose stored presence is online, degraded or navigating
	// on a node; for a node that starts again after it was killed.
	Connected(ctx context.Context, node string, page Page) (sessions []vigil.Session, next string, err error)
	// SetGroups changes the student's groups, unless the stored version of that word is the same
	// or higher (CodeConflict). The session's version stays.
	SetGroups(ctx context.Context, sessionID string, groups []vigil.Group, version int64) error
	// SetMonitor stores what is known of the student's monitor. The last call counts.
	SetMonitor(ctx context.Context, sessionID string, m vigil.Monitor) error
	// SetHand raises or (zero time) lowers the hand in the tally.
	SetHand(ctx context.Context, sessionID string, at time.Time) error
	// LeaseDue gives the caller up to n sessions whose DueAt is not zero and not after now, the
	// longest due first, and moves their DueAt to until: so of many callers at once exactly one
	// gets each, and when that one dies, another does later. They come with the new DueAt. The
	// version stays. An until that is not after now is CodeInvalid. After a fault it returns
	// what it has leased, and the error only if that is nothing.
	LeaseDue(ctx context.Context, now, until time.Time, n int) ([]vigil.Session, error)
	// SetDue changes a session's DueAt, also while it is leased, if its version is as given, else
	// CodeConflict. The version stays.
	SetDue(ctx context.Context, sessionID string, version int64, at time.Time) error
}

// Accesses keeps access records: what platforms told of who may see and do what at an exam. They
// are of staff only; a student's groups are in the session. A record is kept for
// vigil.AccessKept after At.
type Accesses interface {
	// PutAccess stores a record unless the stored one of its exam and user has a higher version:
	// then it is CodeConflict. Where that has the same version, only At is written, if it is
	// later. What vigil.Access.Validate refuses is CodeInvalid.
	PutAccess(ctx context.Context, a vigil.Access) error
	// RenewAccess is PutAccess for an answer to a question about somebody who has a record: where
	// that is gone (erased, or expired) it is CodeNotFound, and nothing is stored.
	RenewAccess(ctx context.Context, a vigil.Access) error
	Access(ctx context.Context, examID, userID string) (vigil.Access, error)
	// AccessOfExam lists an exam's records, in an order that stays.
	AccessOfExam(ctx context.Context, examID string, page Page) (records []vigil.Access, next string, err error)
	// AccessOfUser lists a user's records, of all exams of the issuer, in any order.
	AccessOfUser(ctx context.Context, issuer, userID string) ([]vigil.Access, error)
}

// Signals keeps what browsers noticed.
type Signals interface {
	// AppendSignals stores many, of one or several sessions, and answers for each in
	// order. Storing one again changes nothing. Those that are new raise their sessions'
	// tallies; those that are new and incidents also become incidents. It returns an
	// error only if none may be acknowledged: CodeNotFound if a session is not there
	// (erased), and then nothing of that session is stored; CodeInvalid, and nothing is
	// stored, if one has no Received or no number (Seq from 1 up). A signal's exam is its
	// session's. One that has expired may count as Repeated or be stored anew.
	AppendSignals(ctx context.Context, signals []vigil.Signal) ([]Appended, error)
	// SignalsOfSession lists them in the order in which they were received.
	SignalsOfSession(ctx context.Context, sessionID string, page Page) (signals []vigil.Signal, next string, err error)
	// StreamState tells how many numbers of a stream are stored and the highest of them.
	// Those that have expired may count on.
	StreamState(ctx context.Context, sessionID, stream string) (count, highest int64, err error)

	// IncidentsOfExam lists them in the order in which they came, as does IncidentsOfSession.
	IncidentsOfExam(ctx context.Context, examID string, page Page) (incidents []vigil.Incident, next string, err error)
	IncidentsOfSession(ctx context.Context, sessionID string, page Page) (incidents []vigil.Incident, next string, err error)
	Incident(ctx context.Context, sessionID, id string) (vigil.Incident, error)
	// UpdateIncident stores i's review with Version+1 if the stored version is i.Version,
	// else CodeConflict; the tally's count of open incidents follows (cleared, upheld and
	// overturned ones are not open).
	UpdateIncident(ctx context.Context, i vigil.Incident) error
}

// Gaps keeps the ledger of lost time.
type Gaps interface {
	CreateGap(ctx context.Context, g vigil.Gap) error // CodeExists if (session, id) is taken
	// UpdateGap stores g with Version+1 if the stored version is g.Version, else CodeConflict.
	UpdateGap(ctx context.Context, g vigil.Gap) error
	GapsOfSession(ctx context.Context, sessionID string) ([]vigil.Gap, error) // by start
	// GapsOfExam lists them in the order in which they were created.
	GapsOfExam(ctx context.Context, examID string, page Page) (gaps []vigil.Gap, next string, err error)
}

// Commands keeps what proctors did, and the queue to the platforms.
type Commands interface {
	Command(ctx context.Context, sessionID, id string) (vigil.Command, error)
	// UpdateCommand writes Stage, Problem, Delivered, Seen and LMS, of which two nodes may
	// know different parts. A stage never goes back (vigil.Stage.After), and what the caller
	// does not know (an empty Problem, a zero time, an LMS that has not answered) does not
	// take away what is stored; the rest is written.
	UpdateCommand(ctx context.Context, c vigil.Command) error
	CommandsOfSession(ctx context.Context, sessionID string, page Page) (commands []vigil.Command, next string, err error)
	// CommandsOfExam lists those given at or after since, oldest first.
	CommandsOfExam(ctx context.Context, examID string, since time.Time, page Page) (commands []vigil.Command, next string, err error)

	// LeaseDeliveries gives the caller up to n entries that are due, each the first
	// unanswered one of its session (by Version, then by ID: clocks of nodes do not count) and
	// leased by nobody. An entry whose former lease ended without a result comes with Sent
	// set. After a fault it returns what it has leased, and the error only if that is nothing.
	LeaseDeliveries(ctx context.Context, owner string, now time.Time, n int) ([]vigil.Delivery, error)
	// SaveDelivery stores the outcome of a try if the caller's lease still holds, else
	// CodeConflict. A lease holds until it is saved or leased again, even past LeaseEnds;
	// an entry that is saved with its lease keeps it. Of the entry its extra minutes, state,
	// tries, next try and lease are written.
	SaveDelivery(ctx context.Context, d vigil.Delivery, owner string) error
	// WaitingDeliveries tells how many entries wait, of all sessions, and when the oldest of them
	// was made; zero: none does.
	WaitingDeliveries(ctx context.Context) (n int, oldest time.Time, err error)
}

// Chat keeps what students and proctors wrote to each other.
type Chat interface {
	// AddChat is CodeExists if (session, id) is there already. A new line of a student
	// raises the tally's unread count.
	AddChat(ctx context.Context, l vigil.ChatLine) error
	ChatOfSession(ctx context.Context, sessionID string, page Page) (lines []vigil.ChatLine, next string, err error) // oldest first
	// ReadChat sets the tally's unread count to 0.
	ReadChat(ctx context.Context, sessionID string) error
}

// Audits keeps the record of who did what.
type Audits interface {
	// AppendAudit stores entries, of one or several exams. Storing one again (its id, time and
	// chain) changes nothing. After an error some of them may be stored.
	AppendAudit(ctx context.Context, entries ...vigil.Audit) error
	// AuditOfExam lists newest first, those of one time and chain by their numbers. An empty
	// exam lists those about no exam.
	AuditOfExam(ctx context.Context, examID string, page Page) (entries []vigil.Audit, next string, err error)
	// PutAuditCheckpoint replaces a chain's checkpoint unless the stored one is of a later
	// entry, or of the same; then it changes nothing. Checkpoints do not expire.
	PutAuditCheckpoint(ctx context.Context, c vigil.AuditCheckpoint) error
	// AuditCheckpoints returns those of an exam's chains, in any order: one for each process
	// that wrote entries of it.
	AuditCheckpoints(ctx context.Context, examID string) ([]vigil.AuditCheckpoint, error)
}

// People answers what privacy law asks for: everything about one user of one issuer.
type People interface {
	// SessionsOfUser lists the user's sessions, of all exams of the issuer.
	SessionsOfUser(ctx context.Context, issuer, userID string) ([]vigil.Session, error)
	// EraseUser removes the user's sessions with their signals, incidents, gaps, commands,
	// chat and deliveries, and the user's access records, and returns how many sessions that were. Audit entries stay, with the
	// session's id, which leads nowhere any more; what the user did loses the person
	// (vigil.Audit.WithoutPerson). What they did to others' attempts as staff (commands, chat
	// lines, reviews, the last change of a session) keeps the role and loses id and name.
	// Nobody there is 0, not an error. It may be repeated after an error. An entry is added to
	// the list of erasures (see Erasures), also by EraseAttempt.
	EraseUser(ctx context.Context, issuer, userID string) (int, error)
	// EraseAttempt removes one numbered attempt at one exam, with all its generations, and the
	// person from the audit entries about it that they made. The user's other attempts and
	// access records stay.
	EraseAttempt(ctx context.Context, issuer, userID, examID string, attempt int) (int, error)
}

// Node is one running Vigil process.
type Node = vigil.Node

// Nodes keeps which processes live on a store, for a node that starts after a crash
// and for backends that serve one host only.
type Nodes interface {
	// RenewNode says that a node lives at n.Heard. The store adds which schema it knows itself.
	RenewNode(ctx context.Context, n Node) error
	Nodes(ctx context.Context) ([]Node, error)
	DeleteNode(ctx context.Context, id string) error
}

// Store is a backend: everything.
type Store interface {
	Platforms
	Keys
	Records
	Exams
	Sessions
	Accesses
	Signals
	Gaps
	Commands
	Chat
	Audits
	People
	Erasures
	Nodes

	// CheckSchema tells whether this program may still work with the store: CodeIllegal, with
	// the reason, once a newer program has marked or changed it so that this one must end.
	CheckSchema(ctx context.Context) error
	// Ping tells whether the backend answers and can write.
	Ping(ctx context.Context) error
	// Sweep removes up to n things that expired before now and returns how many: 0 means
	// that nothing is left to remove. Backends that remove by themselves return 0.
	Sweep(ctx context.Context, now time.Time, n int) (int, error)
	// Close ends the backend. No other method may be called after it.
	Close() error
}
