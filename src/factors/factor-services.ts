import type { KdfPool } from "../crypto/kdf-pool.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Store } from "../db/store.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import { createBackupCodeHandlers } from "./backup-codes/backup-codes.handlers.ts";
import { backupCodeProver } from "./backup-codes/backup-codes.prover.ts";
import { createBackupCodes } from "./backup-codes/backup-codes.ts";
import type { Answer, AnyProver, ChallengeOutcomes, ImportKind, Prover, ToImport } from "./factor.ts";
import { createFactorHandlers } from "./factors.handlers.ts";
import { createImportHandlers } from "./import/import.handlers.ts";
import { createImport } from "./import/import.ts";
import { createFactorSet, factors, hasFactor, type SettingsIn } from "./index.ts";
import { type ChannelName, otpChannels } from "./otp/channels.ts";
import { createOtpHandlers, type OtpHandlerOptions } from "./otp/otp.handlers.ts";
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
  readonly settingsIn: SettingsIn;
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
export type Challenging = Pick<WebAuthnHandlerOptions & OtpHandlerOptions, "challenges" | "describeAction"> &
  Pick<PushHandlerOptions, "ask">;

/** What each factor brings to the API: how it is proved, its RPCs, and how it comes from other systems. */
export function createFactorServices({ store, keyring, settingsOf, pageTokens, ...options }: FactorServiceOptions) {
  const { kdf, clock, challenges, carried, metadata } = options;
  const factorSet = createFactorSet(options.settingsIn);
  const backupCodes = createBackupCodes({ keyring, kdf, settingsOf, hasFactor });
  const temporaryPasses = createTemporaryPasses({ keyring, kdf, settingsOf });
  const codes = backupCodes.forEnrollment;
  const totp = createTotp({ keyring, settingsOf, factorSet, codes });
  const webauthn = createWebAuthn({ keyring, settingsOf, metadata, factors: factorSet, codes });
  const otp = createOtp({
    ...{ keyring, settingsOf, carried, codes, guardLast: factorSet.guardLast },
    allowed: (of) => factors.filter((factor) => factor.isEnrollable(of)).map(({ type }) => type),
  });
  const push = createPush({ ...options.push, store, keyring, clock, settingsOf, hasFactor, factorSet, challenges });
  /** A case of the contract's Proof that nobody judges does not compile. */
  const provers = {
    webauthn: webauthnProver(webauthn),
    push: push.prover,
    totpCode: totpProver(totp),
    smsCode: smsProver(otp),
    emailCode: emailProver(otp),
    backupCode: backupCodeProver(backupCodes),
    temporaryPass: temporaryPassProver(temporaryPasses),
  } satisfies { readonly [C in Answer["case"]]: Prover<C> };
  const kinds = {
    totp: totpImport({ keyring, settingsOf }),
    webauthn: webauthnImport({ keyring, settingsOf }),
    phoneNumber: otpImport("phoneNumber", otpChannels.sms, { settingsOf, book: otp.book }),
    email: otpImport("email", otpChannels.email, { settingsOf, book: otp.book }),
  } satisfies { readonly [C in ToImport["case"]]: ImportKind<C> };

  /** The handlers of each factor, and those of factors of any kind. */
  const handlersWith = ({ ask, ...proving }: Challenging) => {
    return {
      factors: createFactorHandlers({ settingsOf, pageTokens, factorSet }),
      imports: createImportHandlers(createImport({ keyring, kinds: Object.values(kinds) })),
      totp: createTotpHandlers({ totp, factorSet, settingsOf, pageTokens }),
      webauthn: createWebAuthnHandlers({ ...proving, webauthn, pageTokens }),
      otp: createOtpHandlers({ otp, primaryOf: factorSet.primaryOf, challenges: proving.challenges }),
      push: createPushHandlers({ push, factorSet, settingsOf, pageTokens, ask }),
      backupCodes: createBackupCodeHandlers(backupCodes, pageTokens),
      temporaryPass: createTemporaryPassHandlers(temporaryPasses),
    };
  };

  return { provers: Object.values<AnyProver>(provers), otp, push, handlersWith };
}
