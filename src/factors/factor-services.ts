import type { KdfPool } from "../crypto/kdf-pool.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Store } from "../db/store.ts";
import type { SettingsOf } from "../tenants/settings.ts";
import { createBackupCodeHandlers } from "./backup-codes/backup-codes.handlers.ts";
import { backupCodeProver } from "./backup-codes/backup-codes.prover.ts";
import { createBackupCodes } from "./backup-codes/backup-codes.ts";
import type { AnyProver, ChallengeOutcomes } from "./factor.ts";
import { createFactorHandlers } from "./factors.handlers.ts";
import { createImportHandlers } from "./import.handlers.ts";
import { createImport } from "./import.ts";
import { factorSet, factors, hasFactor } from "./index.ts";
import { type ChannelName, otpChannels } from "./otp/channels.ts";
import { createOtpHandlers } from "./otp/otp.handlers.ts";
import { otpImport } from "./otp/otp.import.ts";
import { emailProver, smsProver } from "./otp/otp.prover.ts";
import { createOtp } from "./otp/otp.ts";
import { createPushHandlers, type PushHandlerOptions } from "./push/push.handlers.ts";
import { createPush, type PushOptions } from "./push/push.ts";
import { createTemporaryPassHandlers } from "./temporary-pass/temporary-pass.handlers.ts";
import { temporaryPassProver } from "./temporary-pass/temporary-pass.prover.ts";
import { createTemporaryPasses } from "./temporary-pass/temporary-pass.ts";
import { createTotpHandlers } from "./totp/totp.handlers.ts";
import { totpImport } from "./totp/totp.import.ts";
import { totpProver } from "./totp/totp.prover.ts";
import { createTotp } from "./totp/totp.ts";
import type { Metadata } from "./webauthn/metadata.ts";
import { createWebAuthnHandlers, type WebAuthnHandlerOptions } from "./webauthn/webauthn.handlers.ts";
import { webauthnImport } from "./webauthn/webauthn.import.ts";
import { webauthnProver } from "./webauthn/webauthn.prover.ts";
import { createWebAuthn } from "./webauthn/webauthn.ts";

/** What the factors need of the process, each of them some of it. */
export interface FactorServiceOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly kdf: KdfPool;
  readonly clock: () => Date;
  readonly settingsOf: SettingsOf;
  readonly pageTokens: PageTokens;
  /** What factors that are answered elsewhere do to challenges. */
  readonly challenges: ChallengeOutcomes;
  /** The ways of sending codes that somebody carries. */
  readonly carried: ReadonlySet<ChannelName>;
  /** What is known of models of authenticators. */
  readonly metadata: Metadata | undefined;
  /** Of approvals on a phone: the ways of telling it, where it finds this service, where an address is. */
  readonly push: Pick<PushOptions, "ways" | "address" | "locate">;
}

/** What the handlers of factors need of the challenges that factors prove. */
export type Challenging = Pick<WebAuthnHandlerOptions, "challenges" | "describeAction"> &
  Pick<PushHandlerOptions, "ask">;

/** What each factor brings to the API: how it is proved, its RPCs, and how it comes from other systems. */
export function createFactorServices({ store, keyring, settingsOf, pageTokens, ...options }: FactorServiceOptions) {
  const { kdf, clock, challenges, carried, metadata } = options;
  const backupCodes = createBackupCodes({ keyring, kdf, settingsOf, hasFactor });
  const temporaryPasses = createTemporaryPasses({ keyring, kdf, settingsOf });
  const codes = backupCodes.forEnrolment;
  const apps = { keyring, settingsOf, factorSet, codes };
  const webauthn = createWebAuthn({ keyring, settingsOf, metadata, factors: factorSet, codes });
  const otp = createOtp({
    ...{ keyring, settingsOf, carried, guardLast: factorSet.guardLast },
    allowed: (of) => factors.filter((factor) => factor.isEnrollable(of)).map(({ type }) => type),
  });
  const push = createPush({ ...options.push, store, keyring, clock, settingsOf, hasFactor, factorSet, challenges });
  const provers: readonly AnyProver[] = [
    ...[webauthnProver(webauthn), push.prover, totpProver(createTotp(apps))],
    ...[smsProver(otp), emailProver(otp)],
    ...[backupCodeProver(backupCodes), temporaryPassProver(temporaryPasses)],
  ];
  const kinds = [
    totpImport({ keyring, settingsOf }),
    webauthnImport({ keyring, settingsOf }),
    otpImport("phoneNumber", otpChannels.sms, { settingsOf, book: otp.book }),
    otpImport("email", otpChannels.email, { settingsOf, book: otp.book }),
  ];

  /** The RPCs of all factors, by service. */
  const handlersWith = ({ ask, ...proving }: Challenging) => {
    const all = createFactorHandlers({ settingsOf, pageTokens });
    const imports = createImportHandlers(createImport({ keyring, kinds }));
    const totp = createTotpHandlers({ ...apps, pageTokens });
    const passkeys = createWebAuthnHandlers({ ...proving, webauthn, pageTokens });
    const sent = createOtpHandlers(otp, factorSet);
    const approvals = createPushHandlers({ push, factorSet, settingsOf, pageTokens, ask });
    const spare = createBackupCodeHandlers(backupCodes, pageTokens);
    const passes = createTemporaryPassHandlers(temporaryPasses);
    return {
      user: {
        ...{ ...all.user, ...passkeys.user, ...totp.user, ...sent.user },
        ...{ ...approvals.user, ...spare.user },
      },
      admin: {
        ...{ ...all.admin, ...totp.admin, ...approvals.admin },
        ...{ ...spare.admin, ...passes.admin },
      },
      internal: { ...all.internal, ...totp.internal, ...approvals.internal, ...imports.internal },
    };
  };

  return { provers, otp, push, handlersWith };
}
