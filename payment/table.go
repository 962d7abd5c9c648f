package payment

// Status says where a payment stands.
type Status string

// The statuses of a payment.
const (
	RequiresPaymentMethod Status = "REQUIRES_PAYMENT_METHOD"
	RequiresConfirmation  Status = "REQUIRES_CONFIRMATION"
	Authorized            Status = "AUTHORIZED"
	PartiallyCaptured     Status = "PARTIALLY_CAPTURED"
	Succeeded             Status = "SUCCEEDED"
	Canceled              Status = "CANCELED"
	Expired               Status = "EXPIRED"
)

// Statuses lists all of them, in the order of a payment's life.
var Statuses = []Status{RequiresPaymentMethod, RequiresConfirmation, Authorized, PartiallyCaptured, Succeeded, Canceled, Expired}

// Starts are the statuses in which a payment is created: without a source, with one, and confirmed at once, to be captured later or now.
var Starts = []Status{RequiresPaymentMethod, RequiresConfirmation, Authorized, Succeeded}

// Action is what moves a payment.
type Action string

// The actions on payments.
const (
	ToConfirm Action = "CONFIRM" // asks to take the money, or to set it aside
	ToCapture Action = "CAPTURE" // takes what was set aside, or a part
	ToCancel  Action = "CANCEL"  // ends a payment of which not all is taken
	ToRefund  Action = "REFUND"  // gives back what was taken, or a part
	ToExpire  Action = "EXPIRE"  // the timer's: its time is up
)

// Actions lists all of them.
var Actions = []Action{ToConfirm, ToCapture, ToCancel, ToRefund, ToExpire}

// clientActions are those that a client may ask for.
var clientActions = []Action{ToConfirm, ToCapture, ToCancel, ToRefund}

// Condition says which of several rows of one status and action counts.
type Condition string

// The conditions. Of those of one action exactly one holds.
const (
	Always       Condition = ""
	TakenAtOnce  Condition = "AUTOMATIC"
	TakenLater   Condition = "MANUAL"
	SomeIsLeft   Condition = "some is left, and it is not final"
	NothingsLeft Condition = "final, or nothing is left"
)

// Conditions lists those of each action.
var Conditions = map[Action][]Condition{
	ToConfirm: {TakenAtOnce, TakenLater}, ToCapture: {SomeIsLeft, NothingsLeft}, ToCancel: {Always}, ToRefund: {Always}, ToExpire: {Always},
}

// Transition is one row of the table: in this status this action leads there, under this condition.
type Transition struct {
	From   Status
	Action Action
	When   Condition
	To     Status
	Who    string // who may cause it
	Ledger string // what it posts
}

// What transitions post.
const (
	nothing      = "nothing"
	postAll      = "POST: debit the source, credit the destination; fee"
	holdAll      = "HOLD: of the source, for the destination"
	postPart     = "POST of the part, HOLD of the rest; fee"
	postLast     = "POST of what is taken, the rest is free again; fee"
	releaseAll   = "RELEASE of what is set aside"
	postBackward = "POST: debit the destination, credit the source"
)

// Table is how payments move. What does not stand here is refused with InvalidState.
var Table = []Transition{
	{RequiresPaymentMethod, ToConfirm, TakenAtOnce, Succeeded, "client, with a source", postAll},
	{RequiresPaymentMethod, ToConfirm, TakenLater, Authorized, "client, with a source", holdAll},
	{RequiresPaymentMethod, ToCancel, Always, Canceled, "client", nothing},
	{RequiresPaymentMethod, ToExpire, Always, Expired, "timer", nothing},
	{RequiresConfirmation, ToConfirm, TakenAtOnce, Succeeded, "client", postAll},
	{RequiresConfirmation, ToConfirm, TakenLater, Authorized, "client", holdAll},
	{RequiresConfirmation, ToCancel, Always, Canceled, "client", nothing},
	{RequiresConfirmation, ToExpire, Always, Expired, "timer", nothing},
	{Authorized, ToCapture, SomeIsLeft, PartiallyCaptured, "client", postPart},
	{Authorized, ToCapture, NothingsLeft, Succeeded, "client", postLast},
	{Authorized, ToCancel, Always, Canceled, "client", releaseAll},
	{Authorized, ToExpire, Always, Expired, "timer", releaseAll},
	{PartiallyCaptured, ToCapture, SomeIsLeft, PartiallyCaptured, "client", postPart},
	{PartiallyCaptured, ToCapture, NothingsLeft, Succeeded, "client", postLast},
	{PartiallyCaptured, ToCancel, Always, Succeeded, "client", releaseAll},
	{PartiallyCaptured, ToExpire, Always, Succeeded, "timer", releaseAll},
	{PartiallyCaptured, ToRefund, Always, PartiallyCaptured, "client", postBackward},
	{Succeeded, ToRefund, Always, Succeeded, "client", postBackward},
}

// Next is where an action leads from a status. ok is false where the table has no such row.
func Next(from Status, action Action, when Condition) (to Status, ok bool) {
	for _, row := range Table {
		if row.From == from && row.Action == action && row.When == when {
			return row.To, true
		}
	}
	return "", false
}

// Allows says whether an action leads anywhere from a status, under some condition.
func Allows(from Status, action Action) bool {
	for _, row := range Table {
		if row.From == from && row.Action == action {
			return true
		}
	}
	return false
}

// Terminal says whether no action leads from a status to another one. What happens to the money afterwards is in amounts.
func Terminal(s Status) bool {
	for _, row := range Table {
		if row.From == s && row.To != s {
			return false
		}
	}
	return true
}
