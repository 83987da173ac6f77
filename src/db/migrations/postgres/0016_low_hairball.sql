CREATE TABLE "prompts" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"prompt_id" text NOT NULL,
	"challenge_id" text NOT NULL,
	"client_id" text NOT NULL,
	"return_url" text NOT NULL,
	"state" text NOT NULL,
	"code_challenge" text NOT NULL,
	"locale" text NOT NULL,
	"application" text NOT NULL,
	"ip" text NOT NULL,
	"user_agent" text NOT NULL,
	"handle_digest" "bytea" NOT NULL,
	"cookie_digest" "bytea",
	"code_digest" "bytea",
	"code_expire_time" timestamp (3) with time zone,
	"end_time" timestamp (3) with time zone,
	"create_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"bound_mac" "bytea",
	CONSTRAINT "prompts_tenant_id_user_id_prompt_id_pk" PRIMARY KEY("tenant_id","user_id","prompt_id")
);
--> statement-breakpoint
ALTER TABLE "challenges" ADD COLUMN "prompt_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "prompts_id" ON "prompts" USING btree ("prompt_id");--> statement-breakpoint
CREATE INDEX "prompts_by_end" ON "prompts" USING btree ("expire_time");